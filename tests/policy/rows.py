"""A farm's rows, as a database would keep them, and the tree that is built anew of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.frames import Frames, parse
from app.policy.ordinals import Ordinals, runs
from app.policy.states import JobState, TaskState, job_state
from app.policy.tree import Job, Queue, path

Row = dict[str, Any]
Arrange = Callable[[list[Queue | Job]], Iterable[Queue | Job]]


@dataclass
class HeldWork:
    job: int
    ordinals: list[int]
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)

    @property
    def unfinished(self) -> list[int]:
        return [n for n in self.ordinals if n not in self.done and n not in self.failed]


@dataclass
class JobRows:
    settings: Row
    frames: Frames
    states: list[TaskState]
    failures: list[int]
    failed_by: dict[int, frozenset[UUID]] = field(default_factory=dict)

    def ordinals(self, state: TaskState) -> list[int]:
        return [ordinal for ordinal, at in enumerate(self.states) if at is state]


class Rows:
    """Made of a scenario's lists; queues and jobs go by ids that count from 1 in their order."""

    def __init__(self, queues: list[Row], jobs: list[Row], agents: list[Row]) -> None:
        paths = {None: None} | {
            (queue.get("parent") or "") + "/" + queue["name"]: number
            for number, queue in enumerate(queues, 1)
        }
        titles = {job["title"]: number for number, job in enumerate(jobs, 1)}
        self.queues: dict[int, Row] = {
            number: queue | {"parent": paths[queue.get("parent")]}
            for number, queue in enumerate(queues, 1)
        }
        self.jobs: dict[int, JobRows] = {}
        for number, job in enumerate(jobs, 1):
            parents = [titles[title] for title in job.get("parents", [])]
            self.jobs[number] = job_rows(
                job | {"parent": paths[job.get("queue")], "parents": parents}
            )
        self.agents: dict[str, Row] = {
            agent["hostname"]: agent | {"free_ram": agent["ram"], "online": True}
            for agent in agents
        }
        self.held: dict[str, HeldWork] = {}

    def state(self, number: int) -> JobState:
        rows = self.jobs[number]
        return job_state(
            total=len(rows.states),
            waiting=len(rows.ordinals(TaskState.WAITING)),
            done=len(rows.ordinals(TaskState.DONE)),
            failed=len(rows.ordinals(TaskState.FAILED)),
            assigned=sum(held.job == number for held in self.held.values()),
            paused=rows.settings.get("paused", False),
        )

    def parents_done(self, number: int) -> bool:
        parents = self.jobs[number].settings["parents"]
        return all(self.state(parent) is JobState.DONE for parent in parents)

    def agent(self, hostname: str) -> Agent:
        row = self.agents[hostname]
        tags = frozenset(row["tags"])
        return Agent(uuid_of(hostname), row["cpus"], row["free_ram"], tags, row.get("within"))

    def online(self) -> list[Agent]:
        return [self.agent(hostname) for hostname, row in self.agents.items() if row["online"]]

    def queue(self, number: int) -> Queue:
        return Queue(id=number, **queue_fields(self.queues[number]))

    def job(self, number: int) -> Job:
        rows = self.jobs[number]
        return Job(
            id=number,
            frames=str(rows.frames),
            waiting=Ordinals(runs(rows.ordinals(TaskState.WAITING))),
            parents_done=self.parents_done(number),
            failed_by=rows.failed_by,
            **job_fields(rows.settings),
        )

    def farm(self, arrange: Arrange = list) -> Farm:
        """Built anew, the rows read in any order."""
        queues: dict[int | None, Queue] = {None: Queue(id=0)}
        queues |= {number: self.queue(number) for number in self.queues}
        jobs = {number: self.job(number) for number in self.jobs}
        parents: dict[Queue | Job, int | None] = {
            queues[number]: row["parent"] for number, row in self.queues.items()
        }
        parents |= {job: self.jobs[number].settings["parent"] for number, job in jobs.items()}
        for node in arrange(list(parents)):
            queues[parents[node]].add(node)
        for held in self.held.values():
            for node in path(jobs[held.job]):
                node.assigned += 1
        return Farm(queues[None], self.online())


def job_rows(row: Row) -> JobRows:
    frames = parse(row.get("frames") or f"1-{row['tasks']}")
    tasks = len(frames) * row.get("num_tiles", 1)
    return JobRows(row, frames, [TaskState.WAITING] * tasks, [0] * tasks)


def node_fields(row: Row) -> Row:
    return {
        "priority": row.get("priority", 0),
        "weight": row.get("weight", 10),
        "minimum": row.get("minimum_agents"),
        "maximum": row.get("maximum_agents"),
        "paused": row.get("paused", False),
    }


def queue_fields(row: Row) -> Row:
    return node_fields(row) | {"prefer_running_jobs": row.get("prefer_running_jobs", False)}


def job_fields(row: Row) -> Row:
    return node_fields(row) | {
        "num_tiles": row.get("num_tiles", 1),
        "by": Decimal(row.get("by", 1)),
        "batch": row.get("batch", 1),
        "batch_contiguous": row.get("batch_contiguous", True),
        "requirements": requirements(row),
    }


def requirements(row: Row) -> Requirements:
    return Requirements(
        cpus=row.get("cpus", 1),
        ram=row.get("ram", 32),
        required_tags=frozenset(row.get("required_tags", ())),
        excluded_tags=frozenset(row.get("excluded_tags", ())),
    )


def uuid_of(hostname: str) -> UUID:
    return uuid5(NAMESPACE_DNS, hostname)
