"""Looking at the farm until its jobs have ended: what is where, and who works on it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from farmqueue.client import Client
from farmqueue.model import Job, QueueNode, Task

EVERY = 0.5  # seconds between two looks


@dataclass(frozen=True)
class Work:
    """What one agent does now."""

    agent: int  # they count from 1
    frames: str
    tasks: int
    progress: float  # 0..1, over all these tasks


@dataclass(frozen=True)
class Look:
    """The farm at one moment."""

    seconds: float  # since the first look
    root: QueueNode
    jobs: list[Job]
    work: dict[int, list[Work]] = field(default_factory=dict)  # by job id

    @property
    def over(self) -> bool:
        return all(map(has_ended, self.jobs))


def looks(client: Client, job_ids: list[int]) -> Iterator[Look]:
    """A look every so often; the last is the first at which all these jobs have ended."""
    began = time.monotonic()
    jobs: dict[int, Job] = {}
    while True:
        going_on = [each for each in job_ids if each not in jobs or not has_ended(jobs[each])]
        jobs |= {job_id: client.job(job_id) for job_id in going_on}
        look = _look(client, [jobs[job_id] for job_id in job_ids], time.monotonic() - began)
        yield look
        if look.over:
            return
        time.sleep(EVERY)


def has_ended(job: Job) -> bool:
    """Whether nothing more becomes of a job: one that waits for a failed job counts."""
    blocked = any(parent["state"] == "failed" for parent in job["blocked_by"])
    return job["state"] in {"done", "failed"} or blocked


def queues_below(node: QueueNode, depth: int = 0) -> Iterator[tuple[int, QueueNode]]:
    """Every queue under a node with its depth, a parent before its children."""
    for child in node["children"]:
        yield depth, child
        yield from queues_below(child, depth + 1)


def _look(client: Client, jobs: list[Job], seconds: float) -> Look:
    numbers = {agent["id"]: number for number, agent in enumerate(client.agents(), start=1)}
    running = [job["id"] for job in jobs if job["tasks"]["running"]]
    work = {job_id: _work(client.tasks(job_id, state="running"), numbers) for job_id in running}
    return Look(seconds, client.tree(), jobs, work)


def _work(tasks: Iterator[Task], numbers: dict[str, int]) -> list[Work]:
    held: dict[int, list[Task]] = {}
    for task in tasks:
        if task["agent_id"] in numbers:
            held.setdefault(numbers[task["agent_id"]], []).append(task)
    return [
        Work(agent, _range(batch), len(batch), sum(task["progress"] for task in batch) / len(batch))
        for agent, batch in sorted(held.items())
    ]


def _range(tasks: list[Task]) -> str:
    first, last = tasks[0]["frame"], tasks[-1]["frame"]
    return f"{first:g}" if first == last else f"{first:g}-{last:g}"
