"""A farm in memory that decides with the policy alone: rows of its own, a tree made for each cycle.

It stands where the service and its database stand, so that whole histories can be played on the
policy: it keeps settings, tasks and assignments, and lets the policy say what becomes of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from app.policy.fit import Agent, Requirements
from app.policy.frames import Frames, parse
from app.policy.ordinals import Ordinals, runs
from app.policy.pick import assign_in_turn
from app.policy.states import (
    Held,
    JobState,
    Said,
    TaskState,
    Verdict,
    after_failure,
    job_state,
    judge,
)
from app.policy.tree import Farm, Job, Queue

Row = dict[str, Any]
Pick = tuple[int, list[int]] | None
Arrange = Callable[[list[Queue | Job]], Iterable[Queue | Job]]
NODE_FIELDS = {
    "priority": "priority",
    "weight": "weight",
    "minimum_agents": "minimum",
    "maximum_agents": "maximum",
    "paused": "paused",
}


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


class FarmSim:
    """Built from a scenario's lists; queues and jobs go by ids that count from 1 in their order."""

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

    def poll(self, *hostnames: str, arrange: Arrange = lambda nodes: nodes) -> list[Pick]:
        """One cycle: serve the agents in turn over one tree, its rows read in any order."""
        names = {uuid_of(hostname): hostname for hostname in hostnames}
        asking = [self._agent(h) for h in hostnames if h not in self.held]
        for agent, job, ordinals in assign_in_turn(self._farm(arrange), asking):
            self.held[names[agent.id]] = HeldWork(job.id, ordinals)
            for ordinal in ordinals:
                self.jobs[job.id].states[ordinal] = TaskState.RUNNING
        return [self._holds(hostname) for hostname in hostnames]

    def report(self, hostname: str, results: list[bool]) -> None:
        """The next tasks that the agent holds succeeded or failed; too many results are ignored."""
        held = self.held.get(hostname)
        if held is None:
            return
        for ordinal, succeeded in zip(held.unfinished, results, strict=False):
            said = Said.DONE if succeeded else Said.FAILED
            found = Held(held.ordinals, held.done, held.failed, ended=False)
            assert judge(found, ordinal, said) is Verdict.COUNT
            self._count(held, ordinal, said, hostname)
        if not held.unfinished:
            del self.held[hostname]

    def finish(self, hostname: str) -> None:
        if hostname in self.held:
            self.report(hostname, [True] * len(self.held[hostname].unfinished))

    def release(self, hostname: str) -> None:
        if hostname in self.held:
            held = self.held.pop(hostname)
            for ordinal in held.unfinished:
                self.jobs[held.job].states[ordinal] = TaskState.WAITING

    def leave(self, hostname: str) -> None:
        self.release(hostname)
        self.agents[hostname]["online"] = False

    def change_queue(self, number: int, changes: Row) -> None:
        self.queues[number].update(changes)

    def change_job(self, number: int, changes: Row) -> None:
        self.jobs[number].settings.update(changes)

    def change_agent(self, hostname: str, changes: Row) -> None:
        self.agents[hostname].update(changes)

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

    def _holds(self, hostname: str) -> Pick:
        held = self.held.get(hostname)
        return (held.job, held.ordinals) if held else None

    def _count(self, held: HeldWork, ordinal: int, said: Said, hostname: str) -> None:
        rows = self.jobs[held.job]
        if said is Said.DONE:
            held.done.add(ordinal)
            rows.states[ordinal] = TaskState.DONE
            return
        held.failed.add(ordinal)
        rows.failures[ordinal] += 1
        rows.failed_by[ordinal] = rows.failed_by.get(ordinal, frozenset()) | {uuid_of(hostname)}
        requeue = rows.settings.get("requeue", 3)
        rows.states[ordinal] = after_failure(rows.failures[ordinal], requeue)

    def _farm(self, arrange: Arrange) -> Farm:
        root = Queue(id=0)
        queues: dict[int | None, Queue] = {None: root}
        for number, row in self.queues.items():
            prefers = row.get("prefer_running_jobs", False)
            queues[number] = Queue(id=number, prefer_running_jobs=prefers, **node_fields(row))
        jobs = {number: self._job(number, rows) for number, rows in self.jobs.items()}
        parents: dict[Queue | Job, int | None] = {
            queues[number]: row["parent"] for number, row in self.queues.items()
        }
        parents |= {job: self.jobs[number].settings["parent"] for number, job in jobs.items()}
        for node in arrange(list(parents)):
            queues[parents[node]].add(node)
        for held in self.held.values():
            count_holder(jobs[held.job])
        return Farm(root, self._online())

    def _online(self) -> tuple[Agent, ...]:
        """Who else could try; nobody needs to know while no task has failed."""
        if not any(rows.failed_by for rows in self.jobs.values()):
            return ()
        return tuple(self._agent(h) for h, row in self.agents.items() if row["online"])

    def _job(self, number: int, rows: JobRows) -> Job:
        row = rows.settings
        return Job(
            id=number,
            frames=rows.frames,
            waiting=Ordinals(runs(rows.ordinals(TaskState.WAITING))),
            num_tiles=row.get("num_tiles", 1),
            by=Decimal(row.get("by", 1)),
            batch=row.get("batch", 1),
            batch_contiguous=row.get("batch_contiguous", True),
            parents_done=all(self.state(parent) is JobState.DONE for parent in row["parents"]),
            requirements=requirements(row),
            failed_by=rows.failed_by,
            **node_fields(row),
        )

    def _agent(self, hostname: str) -> Agent:
        row = self.agents[hostname]
        return Agent(uuid_of(hostname), row["cpus"], row["free_ram"], frozenset(row["tags"]))


def job_rows(row: Row) -> JobRows:
    frames = parse(row.get("frames") or f"1-{row['tasks']}")
    tasks = len(frames) * row.get("num_tiles", 1)
    return JobRows(row, frames, [TaskState.WAITING] * tasks, [0] * tasks)


def node_fields(row: Row) -> Row:
    return {ours: row[theirs] for theirs, ours in NODE_FIELDS.items() if theirs in row}


def requirements(row: Row) -> Requirements:
    return Requirements(
        cpus=row.get("cpus", 1),
        ram=row.get("ram", 32),
        required_tags=frozenset(row.get("required_tags", ())),
        excluded_tags=frozenset(row.get("excluded_tags", ())),
    )


def count_holder(node: Queue | Job | None) -> None:
    while node is not None:
        node.assigned += 1
        node = node.parent


def uuid_of(hostname: str) -> UUID:
    return uuid5(NAMESPACE_DNS, hostname)
