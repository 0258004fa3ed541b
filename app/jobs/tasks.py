"""The tasks of a job, those that nobody has touched yet too."""

from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.jobs import task_store
from app.jobs.reading import not_found
from app.jobs.schemas import Task
from app.policy.frames import parse
from app.policy.states import TaskState
from app.policy.task_ids import split, task_id
from app.ranges import MAX_TASKS


class TaskNotFound(NotFound):
    code = "task_not_found"


async def page(
    connection: AsyncConnection, job_id: int, state: TaskState | None, after: int, limit: int
) -> list[Task]:
    """Tasks past the task id `after` in this state, in order of frame, then tile."""
    job = await task_store.job(connection, job_id)
    if job is None:
        raise not_found(job_id)
    first = min(max(after - task_id(job_id, 0) + 1, 0), MAX_TASKS)
    rows = await task_store.page(connection, job_id, state, first, limit)
    return [_task(job, row) for row in rows]


async def get(connection: AsyncConnection, wanted: int) -> Task:
    job_id, ordinal = split(wanted)
    job = await task_store.job(connection, job_id)
    if job is None or ordinal >= job["tasks_total"]:
        raise TaskNotFound(f"there is no task with id {wanted}")
    [row] = await task_store.page(connection, job_id, None, ordinal, 1)
    return _task(job, row)


def _task(job: RowMapping, row: RowMapping) -> Task:
    ordinal = row["ordinal"]
    return Task(
        **_told(row),
        id=task_id(job["id"], ordinal),
        job_id=job["id"],
        frame=parse(job["frames"])[ordinal // job["num_tiles"]],
        tile=ordinal % job["num_tiles"],
    )


def _told(row: RowMapping) -> dict[str, Any]:
    """What its row tells; without one it waits, untouched."""
    untouched = {"state": TaskState.WAITING, "attempts": 0, "failures": 0}
    untouched |= {"lost_leases": 0, "progress": 0.0}
    return dict(row) | (untouched if row["state"] is None else {})
