"""The farm for the policy, from what the recursive CTEs find."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.policy.fit import Agent, Requirements
from app.policy.frames import parse
from app.policy.ordinals import Ordinals
from app.policy.tree import Farm, Job, Queue
from app.scheduler import store


async def load_farm(connection: AsyncConnection) -> Farm:
    """The runnable jobs with the queues above them, and how many agents each has."""
    # In this order: a job that is submitted in between is not seen, but no job lacks its queue.
    jobs = await store.jobs(connection)
    queues = await store.queues(connection)
    failed = await store.failed_before(connection)
    online = await store.online(connection) if failed else []
    root = Queue(id=0)
    _hang(root, queues, jobs, _by_job(failed))
    return Farm(root, tuple(agent_of(row) for row in online))


def agent_of(row: RowMapping) -> Agent:
    return Agent(row["id"], row["cpus"], row["free_ram"], frozenset(row["tags"]))


def _hang(
    root: Queue,
    queues: Sequence[RowMapping],
    jobs: Sequence[RowMapping],
    failed: dict[int, dict[int, frozenset[UUID]]],
) -> None:
    nodes = {row["id"]: _queue(row) for row in queues}
    for row in queues:
        parent = nodes[row["parent_jobqueue_id"]] if row["parent_jobqueue_id"] else root
        parent.add(nodes[row["id"]])
    for row in jobs:
        parent = nodes[row["job_queue_id"]] if row["job_queue_id"] else root
        parent.add(_job(row, failed.get(row["id"], {})))


def _by_job(rows: Sequence[RowMapping]) -> dict[int, dict[int, frozenset[UUID]]]:
    found: dict[int, dict[int, frozenset[UUID]]] = defaultdict(dict)
    for row in rows:
        found[row["job_id"]][row["ordinal"]] = frozenset(row["failed_by"])
    return found


def _queue(row: RowMapping) -> Queue:
    return Queue(
        id=row["id"],
        priority=row["priority"],
        weight=row["weight"],
        minimum=row["minimum_agents"],
        maximum=row["maximum_agents"],
        paused=row["paused"],
        assigned=row["assigned"],
        prefer_running_jobs=row["prefer_running_jobs"],
    )


def _job(row: RowMapping, failed_by: dict[int, frozenset[UUID]]) -> Job:
    return Job(
        id=row["id"],
        priority=row["priority"],
        weight=row["weight"],
        minimum=row["minimum_agents"],
        maximum=row["maximum_agents"],
        paused=row["paused"],
        assigned=row["assigned"],
        frames=parse(row["frames"]),
        waiting=Ordinals((found.lower, found.upper) for found in row["waiting"]),
        num_tiles=row["num_tiles"],
        by=row["by"],
        batch=row["batch"],
        batch_contiguous=row["batch_contiguous"],
        parents_done=row["parents_done"],
        requirements=Requirements(
            cpus=row["cpus"],
            ram=row["ram"],
            required_tags=frozenset(row["required_tags"]),
            excluded_tags=frozenset(row["excluded_tags"]),
        ),
        failed_by=failed_by,
    )
