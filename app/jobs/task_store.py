"""The SQL of a job's tasks: which ordinals are on a page, then the rows of those that have one.

A page of a job of a million tasks costs what it shows, not what the job has.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Executable,
    Integer,
    RowMapping,
    Select,
    TextClause,
    bindparam,
    column,
    func,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import assignments, jobs, tasks
from app.policy.states import TaskState

# What a task's row says; `agent_id` is that of its latest assignment.
_TOLD = (
    "state",
    "attempts",
    "failures",
    "lost_leases",
    "last_error",
    "progress",
    "time_started",
    "time_finished",
    "agent_id",
)

_EVERY = text("""
SELECT generate_series(CAST(:first AS int), least(tasks_total, :first + :limit) - 1) AS ordinal
FROM jobs WHERE id = :job_id
""")

# From the ranges that wait; unnest() gives them in ascending order, so the first found are it.
_WAITING = text("""
SELECT ordinal FROM jobs_now j, unnest(j.waiting) AS r, LATERAL generate_series(
    greatest(lower(r), :first), least(upper(r), greatest(lower(r), :first) + :limit) - 1
) AS ordinal
WHERE j.id = :job_id AND upper(r) > :first
LIMIT :limit
""")

# From the assignments that hold them.
_RUNNING = text("""
SELECT t.ordinal FROM assignments a JOIN tasks t
    ON t.job_id = a.job_id AND t.ordinal = ANY(a.ordinals) AND t.assignment_id = a.id
WHERE a.job_id = :job_id AND a.ended_at IS NULL AND t.state = 'running' AND t.ordinal >= :first
ORDER BY t.ordinal LIMIT :limit
""")

_DONE = text("""
SELECT ordinal FROM tasks WHERE job_id = :job_id AND state = 'done' AND ordinal >= :first
ORDER BY ordinal LIMIT :limit
""")

_FAILED = text("""
SELECT ordinal FROM tasks
WHERE job_id = :job_id AND state = 'failed' AND (failures > 0 OR lost_leases > 0)
    AND ordinal >= :first
ORDER BY ordinal LIMIT :limit
""")


def _with_rows(ordinals: TextClause) -> Select[Any]:
    """The ordinals, each with its task's row; a list of few keys, so never a scan of the job."""
    chosen = ordinals.columns(column("ordinal", Integer)).cte("chosen")
    listed = func.any(func.array(select(chosen.c.ordinal).scalar_subquery(), type_=ARRAY(Integer)))
    rows = (
        select(tasks, assignments.c.agent_id)
        .outerjoin_from(tasks, assignments, assignments.c.id == tasks.c.assignment_id)
        .where(tasks.c.job_id == bindparam("job_id", type_=BigInteger), tasks.c.ordinal == listed)
        .cte("rows")
    )
    return (
        select(chosen.c.ordinal, *(rows.c[name] for name in _TOLD))
        .outerjoin_from(chosen, rows, rows.c.ordinal == chosen.c.ordinal)
        .order_by(chosen.c.ordinal)
    )


_PAGES: dict[TaskState | None, Executable] = {
    None: _with_rows(_EVERY),
    TaskState.WAITING: _with_rows(_WAITING),
    TaskState.RUNNING: _with_rows(_RUNNING),
    TaskState.DONE: _with_rows(_DONE),
    TaskState.FAILED: _with_rows(_FAILED),
}


async def job(connection: AsyncConnection, job_id: int) -> RowMapping | None:
    """What names the tasks of a job."""
    named = select(jobs.c.id, jobs.c.frames, jobs.c.num_tiles, jobs.c.tasks_total)
    return (await connection.execute(named.where(jobs.c.id == job_id))).mappings().one_or_none()


async def page(
    connection: AsyncConnection, job_id: int, state: TaskState | None, first: int, limit: int
) -> Sequence[RowMapping]:
    """The ordinals from `first` on in this state, each with its row: all null where none is."""
    values = {"job_id": job_id, "first": first, "limit": limit}
    return (await connection.execute(_PAGES[state], values)).mappings().all()
