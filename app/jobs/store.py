"""The SQL of jobs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Executable,
    Integer,
    RowMapping,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from app.db.counts import WAITING
from app.db.tables import (
    assignments,
    job_dependencies,
    job_progress,
    jobqueues,
    jobs,
    jobs_now,
    tokens,
)
from app.policy.states import JobState

NAMED = 4

_ID = BigInteger()

# Aliases as the fragments of app/db/counts.py name them.
j = jobs_now.alias("j")
_depends = job_dependencies.alias("d")
_active = and_(assignments.c.job_id == j.c.id, assignments.c.ended_at.is_(None))

# What a state is made of; `policy.states.job_state` tells which.
_COUNTS = (
    j.c.id,
    j.c.title,
    j.c.paused,
    j.c.tasks_total,
    j.c.tasks_done,
    j.c.tasks_failed,
    literal_column(WAITING, Integer).label("tasks_waiting"),
    # An agent holds at most one active assignment.
    select(func.count())
    .select_from(assignments)
    .where(_active)
    .scalar_subquery()
    .label("assigned_agents"),
)

# The same rule as `policy.states.job_state`, to choose rows by.
state_case = case(
    (j.c.tasks_done == j.c.tasks_total, JobState.DONE),
    # Then none waits, and none runs.
    (j.c.tasks_done + j.c.tasks_failed == j.c.tasks_total, JobState.FAILED),
    (exists().where(_active), JobState.RUNNING),
    (j.c.paused, JobState.PAUSED),
    else_=JobState.QUEUED,
)

# A job as JSON shows it. Not `waiting`: as many ranges as the work left holes.
_SHOWN = select(
    *_COUNTS,
    *(column for column in j.c if column.name not in {*(c.name for c in _COUNTS), "waiting"}),
    jobqueues.c.fullpath.label("queue"),
    tokens.c.name.label("submitter"),
    func.array(
        select(_depends.c.parent_job_id)
        .where(_depends.c.job_id == j.c.id)
        .order_by(_depends.c.parent_job_id)
        .scalar_subquery(),
        type_=ARRAY(BigInteger),
    ).label("parents"),
).select_from(
    j.outerjoin(jobqueues, jobqueues.c.id == j.c.job_queue_id).outerjoin(
        tokens, tokens.c.id == j.c.submitted_by
    )
)

_BEGIN_PROGRESS = text("""
INSERT INTO job_progress (job_id, tasks_total, waiting)
SELECT id, tasks_total, int4multirange(int4range(0, tasks_total)) FROM jobs
WHERE id = ANY(CAST(:ids AS bigint[]))
""")

# Whether :id is among :parents and all that they wait for: it would wait for itself.
_ABOVE = text("""
WITH RECURSIVE up (id) AS (
    SELECT unnest(CAST(:parents AS bigint[]))
    UNION
    SELECT d.parent_job_id FROM job_dependencies d JOIN up ON d.job_id = up.id
)
SELECT EXISTS (SELECT FROM up WHERE id = :id)
""")

# Ended tasks of a job, which may be a million. See `forget_ended`.
_FORGET_TASKS = text("DELETE FROM tasks WHERE job_id = :id AND state IN ('done', 'failed')")
# Every task that does not run waits again, as if the job had just come.
_RERUN = text("""
WITH fresh AS (
    DELETE FROM tasks WHERE job_id = :id AND state <> 'running'
),
running AS (
    SELECT coalesce(range_agg(int4range(ordinal, ordinal + 1)), '{}') AS ordinals
    FROM tasks WHERE job_id = :id AND state = 'running'
),
unfinished AS (
    UPDATE jobs SET time_finished = NULL WHERE id = :id AND time_finished IS NOT NULL
)
UPDATE job_progress SET
    waiting = int4multirange(int4range(0, tasks_total)) - running.ordinals,
    tasks_done = 0, tasks_failed = 0,
    time_started = CASE WHEN isempty(running.ordinals) THEN NULL ELSE time_started END
FROM running WHERE job_id = :id
""")

# The failed tasks as if they had not failed; attempts and last error stay.
_RETRY_FAILED = text("""
WITH again AS (
    UPDATE tasks SET state = 'waiting', failures = 0, lost_leases = 0, failed_by = '{}',
        time_finished = NULL
    WHERE job_id = :id AND state = 'failed'
    RETURNING ordinal
)
SELECT count(*) AS tasks, CAST(range_agg(int4range(ordinal, ordinal + 1)) AS text) AS ordinals
FROM again
""")

_WAIT_AGAIN = text("""
WITH unfinished AS (
    UPDATE jobs SET time_finished = NULL WHERE id = :id AND time_finished IS NOT NULL
)
UPDATE job_progress SET waiting = waiting + CAST(CAST(:ordinals AS text) AS int4multirange),
    tasks_failed = tasks_failed - :tasks
WHERE job_id = :id
""")


async def add_all(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Store the jobs, all tasks of which wait; their ids, in the order given."""
    made = insert(jobs).returning(jobs.c.id, sort_by_parameter_order=True)
    ids = list((await connection.scalars(made, rows)).all())
    await connection.execute(_BEGIN_PROGRESS, {"ids": ids})
    return ids


async def depend(connection: AsyncConnection, pairs: Sequence[tuple[int, int]]) -> None:
    """Let the first job of each pair wait for the second."""
    if pairs:
        rows = [{"job_id": job_id, "parent_job_id": parent_id} for job_id, parent_id in pairs]
        await connection.execute(insert(job_dependencies), rows)


async def set_parents(connection: AsyncConnection, job_id: int, parents: Sequence[int]) -> None:
    await connection.execute(delete(job_dependencies).where(job_dependencies.c.job_id == job_id))
    await depend(connection, [(job_id, parent_id) for parent_id in parents])


async def existing(connection: AsyncConnection, job_ids: Sequence[int]) -> set[int]:
    """Those of the ids that are jobs."""
    if not job_ids:
        return set()
    found = select(jobs.c.id).where(jobs.c.id == _any_of("ids"))
    return set((await connection.scalars(found, {"ids": list(job_ids)})).all())


def _any_of(name: str, of: TypeEngine[Any] = _ID) -> ColumnElement[Any]:
    """= ANY of one array parameter, however many it holds."""
    return func.any(bindparam(name, type_=ARRAY(of)))


async def get_all(connection: AsyncConnection, job_ids: Sequence[int]) -> Sequence[RowMapping]:
    """The jobs of these ids, by id."""
    query = _SHOWN.where(j.c.id == _any_of("ids")).order_by(j.c.id)
    return (await connection.execute(query, {"ids": list(job_ids)})).mappings().all()


async def page(
    connection: AsyncConnection,
    state: JobState | None,
    matching: dict[str, Any],
    after: int,
    limit: int,
) -> Sequence[RowMapping]:
    """Jobs past the id `after` in this state whose columns equal `matching`, by id."""
    query = _SHOWN.where(j.c.id > after).order_by(j.c.id).limit(limit)
    if state is not None:
        query = query.where(state_case == state)
    for column, value in matching.items():
        query = query.where(_column(column) == value)
    return (await connection.execute(query)).mappings().all()


def _column(name: str) -> ColumnElement[Any]:
    return j.c.job_queue_id if name == "queue" else j.c[name]


async def unfinished_parents(
    connection: AsyncConnection, job_ids: Sequence[int]
) -> Sequence[RowMapping]:
    """What these jobs wait for: `child` with the counts of the parent, by both ids."""
    query: Executable = (
        select(_depends.c.job_id.label("child"), *_COUNTS)
        .join_from(_depends, j, j.c.id == _depends.c.parent_job_id)
        .where(_depends.c.job_id == _any_of("ids"), j.c.tasks_done < j.c.tasks_total)
        .order_by(_depends.c.job_id, j.c.id)
    )
    return (await connection.execute(query, {"ids": list(job_ids)})).mappings().all()


async def place(connection: AsyncConnection, job_id: int) -> RowMapping | None:
    """The queue that a job is in, and the token that it came with."""
    query = select(jobs.c.job_queue_id, jobs.c.submitted_by).where(jobs.c.id == job_id)
    return (await connection.execute(query)).mappings().one_or_none()


async def is_held_by(connection: AsyncConnection, job_id: int, agent_id: UUID) -> bool:
    """Whether the agent works on the job now."""
    query = (
        select(assignments.c.job_id == job_id, assignments.c.ended_at.is_(None))
        .where(assignments.c.agent_id == agent_id)
        .order_by(assignments.c.id.desc())
        .limit(1)
    )
    return all((await connection.execute(query)).one_or_none() or [False])


async def lock_for_deletion(connection: AsyncConnection, job_id: int) -> RowMapping | None:
    """The job, when no submission can begin to depend on it any more."""
    query = (
        select(jobs.c.id, jobs.c.title, job_progress.c.tasks_done, jobs.c.tasks_total)
        .join_from(jobs, job_progress, job_progress.c.job_id == jobs.c.id)
        .where(jobs.c.id == job_id)
        .with_for_update(of=jobs)
    )
    return (await connection.execute(query)).mappings().one_or_none()


async def unfinished_dependents(connection: AsyncConnection, job_id: int) -> Sequence[RowMapping]:
    """The first jobs that wait for this one, by id."""
    query = (
        select(j.c.id, j.c.title)
        .join_from(_depends, j, j.c.id == _depends.c.job_id)
        .where(_depends.c.parent_job_id == job_id, j.c.tasks_done < j.c.tasks_total)
        .order_by(j.c.id)
        .limit(NAMED)
    )
    return (await connection.execute(query)).mappings().all()


async def is_above(connection: AsyncConnection, job_id: int, parents: Sequence[int]) -> bool:
    """Whether one of the parents is the job, or waits for it."""
    found: bool = await connection.scalar(_ABOVE, {"id": job_id, "parents": list(parents)})
    return found


async def change(connection: AsyncConnection, job_id: int, values: dict[str, Any]) -> None:
    await connection.execute(update(jobs).where(jobs.c.id == job_id).values(values))


async def forget_ended(connection: AsyncConnection, job_id: int) -> None:
    """Delete the tasks that are done or failed. To be called before the farm lock is taken.

    It may take seconds, and only who holds the cleaning lock touches those tasks: agents go on
    getting work meanwhile.
    """
    await connection.execute(_FORGET_TASKS, {"id": job_id})


async def rerun(connection: AsyncConnection, job_id: int) -> None:
    await connection.execute(_RERUN, {"id": job_id})


async def retry_failed(connection: AsyncConnection, job_id: int) -> RowMapping:
    """Let the failed tasks wait, before the farm lock for the same reason.

    How many `tasks` they are, and their `ordinals` for `wait_again`, under the lock.
    """
    return (await connection.execute(_RETRY_FAILED, {"id": job_id})).mappings().one()


async def wait_again(connection: AsyncConnection, job_id: int, again: RowMapping) -> None:
    await connection.execute(_WAIT_AGAIN, {"id": job_id, **again})


async def remove(connection: AsyncConnection, job_id: int) -> None:
    await connection.execute(delete(jobs).where(jobs.c.id == job_id))
