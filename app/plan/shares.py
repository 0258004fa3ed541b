"""How many agents each queue is entitled to, of a farm as the database has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.policy.entitled import entitled
from app.policy.states import Mode
from app.policy.tree import Queue, path
from app.scheduler import store
from app.scheduler.rows import job_of, queue_of

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Work:
    """Unfinished jobs, how many agents each has, and how many agents there are to be shared out."""

    jobs: Sequence[Row]
    held: Mapping[int, int]
    agents: int


@dataclass(frozen=True, slots=True)
class Shares:
    """By the id of a queue, None for the root: agents in or below, and what it is entitled to."""

    assigned: Mapping[int | None, int]
    entitled: Mapping[int | None, int]


async def work_of(connection: asyncpg.Connection) -> Work:
    jobs = await store.jobs(connection)
    agents = await store.agents(connection)
    held: dict[int, int] = {}
    for agent in agents:
        if agent["job_id"] is not None:
            held[agent["job_id"]] = held.get(agent["job_id"], 0) + 1
    online = sum(agent["online"] and agent["mode"] == Mode.ENABLED for agent in agents)
    return Work(jobs, held, online)


def shares_of(queues: Sequence[Row], work: Work, agents: int) -> Shares:
    """Queues as rows, in any order; the jobs of a queue that is not among them are left out."""
    root = Queue(id=0)
    by_id: dict[int | None, Queue] = {None: root} | {row["id"]: queue_of(row) for row in queues}
    for row in queues:
        by_id[row["parent_jobqueue_id"]].add(by_id[row["id"]])
    for row in work.jobs:
        parent = by_id.get(row["job_queue_id"])
        if parent is not None:
            job = job_of(row, {})
            parent.add(job)
            held = work.held.get(job.id, 0)
            for node in path(job) if held else ():
                node.assigned += held
    shares = entitled(root, agents)
    return Shares(
        {queue_id: queue.assigned for queue_id, queue in by_id.items()},
        {queue_id: shares[queue] for queue_id, queue in by_id.items()},
    )
