"""Jobs as their readers see them: state, what they wait for, and why."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import NotFound
from app.jobqueues.store import id_of
from app.jobs import store
from app.jobs.schemas import BlockingJob, Job, TaskCounts
from app.policy.states import JobState, job_state

NAMED = 3


class JobNotFound(NotFound):
    code = "job_not_found"


async def get(connection: AsyncConnection, job_id: int) -> Job:
    found = await get_all(connection, [job_id])
    if not found:
        raise not_found(job_id)
    return found[0]


async def get_all(connection: AsyncConnection, job_ids: Sequence[int]) -> list[Job]:
    """The jobs of these ids that are there, by id."""
    return await _jobs(connection, await store.get_all(connection, job_ids))


async def page(
    connection: AsyncConnection,
    state: JobState | None,
    matching: dict[str, Any],
    after: int,
    limit: int,
) -> list[Job]:
    """Jobs past the id `after` whose columns equal `matching`; `queue` leads to theirs."""
    if matching.get("queue") is not None:
        found = await id_of(connection, matching["queue"])
        if found is None:
            return []
        matching = matching | {"queue": found}
    return await _jobs(connection, await store.page(connection, state, matching, after, limit))


def not_found(job_id: int) -> JobNotFound:
    return JobNotFound(f"there is no job with id {job_id}")


async def _jobs(connection: AsyncConnection, rows: Sequence[RowMapping]) -> list[Job]:
    blocking: dict[int, list[BlockingJob]] = {row["id"]: [] for row in rows}
    waiting = [row["id"] for row in rows if row["parents"]]
    for parent in await store.unfinished_parents(connection, waiting) if waiting else ():
        brief = BlockingJob(id=parent["id"], title=parent["title"], state=_state(parent))
        blocking[parent["child"]].append(brief)
    return [_job(row, blocking[row["id"]]) for row in rows]


def _job(row: RowMapping, blocked_by: list[BlockingJob]) -> Job:
    state = _state(row)
    return Job(
        **row,
        state=state,
        reason=_reason(blocked_by) if state is JobState.QUEUED else None,
        blocked_by=blocked_by,
        tasks=TaskCounts(
            waiting=row["tasks_waiting"],
            running=_running(row),
            done=row["tasks_done"],
            failed=row["tasks_failed"],
        ),
    )


def _state(row: RowMapping) -> JobState:
    return job_state(
        total=row["tasks_total"],
        waiting=row["tasks_waiting"],
        done=row["tasks_done"],
        failed=row["tasks_failed"],
        assigned=row["assigned_agents"],
        paused=row["paused"],
    )


def _running(row: RowMapping) -> int:
    """What neither waits nor has ended."""
    running: int = (
        row["tasks_total"] - row["tasks_waiting"] - row["tasks_done"] - row["tasks_failed"]
    )
    return running


def _reason(blocked_by: Sequence[BlockingJob]) -> str | None:
    failed = [parent.id for parent in blocked_by if parent.state is JobState.FAILED]
    return waits_for(failed, [parent.id for parent in blocked_by])


def waits_for(failed: Sequence[int], blocking: Sequence[int]) -> str | None:
    """Why a queued job waits, by the ids of its parents that are not done.

    One that failed comes first, since it needs somebody.
    """
    if failed:
        return f"waits for {_named(failed)}, which failed"
    return f"waits for {_named(blocking)}" if blocking else None


def _named(parents: Sequence[int]) -> str:
    """As in: job 12; jobs 12, 13, 14 and 2 more."""
    ids = ", ".join(str(parent) for parent in parents[:NAMED])
    more = len(parents) - NAMED
    return f"job{'s' * (len(parents) > 1)} {ids}" + (f" and {more} more" if more > 0 else "")
