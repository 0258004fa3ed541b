"""The SQL of figures. Minutes and hours begin by the database's clock."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import figures, history, jobqueues

# One replica writes at a time; who is second finds the minute written.
FIGURES_LOCK = 0x66696775  # "figu"

MINUTE, HOUR = 60, 3_600

MINUTES_KEPT = "2 days"
HOURS_KEPT = "40 days"

_TURN = text("SELECT pg_try_advisory_xact_lock(:key)")

# The minute that is over, unless it is written; and how far the history was counted before it.
_DUE = text("""
SELECT m.at, (SELECT max(id) FROM history) AS until, (
    SELECT history_id FROM farm_figures
    WHERE seconds = 60 AND at >= m.at - interval '1 hour' AND at < m.at ORDER BY at DESC LIMIT 1
) AS since
FROM (SELECT date_trunc('minute', clock_timestamp()) - interval '1 minute' AS at) m
WHERE NOT EXISTS (SELECT FROM farm_figures WHERE seconds = 60 AND at = m.at)
""")

# What the history says of the time since: ends of tasks, and jobs whose first task went out.
_COUNT = text("""
WITH told AS (
    SELECT action, job_id, detail FROM history
    WHERE id > :since AND id <= :until AND at >= CAST(:at AS timestamptz) - interval '2 hours'
        AND action IN ('assignment.reported', 'assignment.made')
),
ends AS (
    SELECT coalesce(sum(jsonb_array_length(detail -> 'done')), 0) AS done,
        coalesce(sum(jsonb_array_length(detail -> 'failed')), 0) AS failed
    FROM told WHERE action = 'assignment.reported'
),
begun AS (
    SELECT extract(epoch FROM j.time_started - j.time_submitted) AS waited
    FROM jobs_now j
    WHERE j.id IN (SELECT job_id FROM told WHERE action = 'assignment.made')
        AND j.time_started >= CAST(:at AS timestamptz)
        AND j.time_started < CAST(:at AS timestamptz) + interval '1 minute'
)
SELECT e.done, e.failed, (SELECT count(*) FROM begun) AS started,
    CAST(coalesce((SELECT sum(waited) FROM begun), 0) AS float8) AS waited,
    CAST(coalesce((SELECT max(waited) FROM begun), 0) AS float8) AS longest
FROM ends e
""")

_ADD = text("""
INSERT INTO farm_figures (seconds, at, agents, queues, tasks_done, tasks_failed, jobs_started,
    wait_seconds, longest_wait, history_id)
VALUES (:seconds, :at, :agents, :queues, :done, :failed, :started, :waited, :longest, :history_id)
ON CONFLICT DO NOTHING
""").bindparams(bindparam("agents", type_=JSONB), bindparam("queues", type_=JSONB))

# The latest hour that is over and has minutes, unless it is written.
_HOUR_DUE = text("""
SELECT h.at FROM (
    SELECT date_trunc('hour', max(at)) AS at FROM farm_figures
    WHERE seconds = 60 AND at < date_trunc('hour', clock_timestamp())
) h
WHERE h.at IS NOT NULL
    AND NOT EXISTS (SELECT FROM farm_figures WHERE seconds = 3600 AND at = h.at)
""")

_FORGET = text(f"""
DELETE FROM farm_figures
WHERE (seconds = 60 AND at < clock_timestamp() - interval '{MINUTES_KEPT}')
    OR (seconds = 3600 AND at < clock_timestamp() - interval '{HOURS_KEPT}')
""")

# A row of a large farm has thousands of queues: of them only these are read. Whatever is stored is
# unpacked once (OFFSET 0), not for each queue anew.
_OF_QUEUES = text("""
SELECT f.at, f.agents, f.tasks_done, f.tasks_failed, f.jobs_started, f.wait_seconds, f.longest_wait,
    f.history_id, coalesce((
        SELECT jsonb_object_agg(q.id, unpacked.queues -> q.id)
        FROM unnest(CAST(:ids AS text[])) AS q(id) WHERE unpacked.queues ? q.id
    ), '{}') AS queues
FROM farm_figures f, LATERAL (SELECT f.queues || '{}' AS queues OFFSET 0) unpacked
WHERE f.seconds = :seconds AND f.at >= :begin AND f.at < :end ORDER BY f.at
""").columns(agents=JSONB, queues=JSONB)

# By moments spread over the time, at most so many: enough to tell whose line is drawn.
_BUSIEST = text("""
SELECT CAST(q.key AS bigint) FROM (
    SELECT seconds, at, row_number() OVER (ORDER BY at) - 1 AS number, count(*) OVER () AS moments
    FROM farm_figures WHERE seconds = :seconds AND at >= :begin AND at < :end
) m JOIN farm_figures f USING (seconds, at), LATERAL jsonb_each(f.queues) q
WHERE m.number % ((m.moments - 1) / :most + 1) = 0 AND q.key = ANY(CAST(:ids AS text[]))
GROUP BY q.key ORDER BY sum(CAST(q.value ->> 0 AS float8)) DESC, 1 LIMIT :limit
""")

MOST_MOMENTS = 60

_BEFORE = text("SELECT clock_timestamp() - make_interval(secs => :seconds)")

# What is read here: changes of queues, which alone have their ids, in an index of few rows.
_changes = (
    select(
        history.c.id,
        history.c.at,
        history.c.actor,
        history.c.action,
        history.c.job_queue_id,
        history.c.detail,
        jobqueues.c.fullpath,
    )
    .outerjoin_from(history, jobqueues, jobqueues.c.id == history.c.job_queue_id)
    .where(history.c.job_queue_id.is_not(None))
    .order_by(history.c.id.desc())
)


async def is_mine(connection: AsyncConnection) -> bool:
    """Whether no other replica is at it just now."""
    return bool(await connection.scalar(_TURN, {"key": FIGURES_LOCK}))


async def due(connection: AsyncConnection) -> RowMapping | None:
    return (await connection.execute(_DUE)).mappings().one_or_none()


async def count(connection: AsyncConnection, at: datetime, since: int, until: int) -> RowMapping:
    values = {"at": at, "since": since, "until": until}
    return (await connection.execute(_COUNT, values)).mappings().one()


async def add(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Write a row, unless it is there."""
    await connection.execute(_ADD, values)


async def hour_due(connection: AsyncConnection) -> datetime | None:
    found: datetime | None = await connection.scalar(_HOUR_DUE)
    return found


async def forget_old(connection: AsyncConnection) -> None:
    await connection.execute(_FORGET)


async def each(
    connection: AsyncConnection, seconds: int, begin: datetime, end: datetime
) -> AsyncIterator[RowMapping]:
    """The rows of minutes, or of hours, by time: one after the other, they may be large."""
    of_time = figures.c.at >= begin, figures.c.at < end
    query = select(figures).where(figures.c.seconds == seconds, *of_time).order_by(figures.c.at)
    found = await connection.stream(query.execution_options(yield_per=1))
    async for row in found.mappings():
        yield row


async def of_queues(
    connection: AsyncConnection, seconds: int, begin: datetime, end: datetime, ids: Iterable[int]
) -> Sequence[RowMapping]:
    """The same, all of them, with nothing of other queues than these."""
    values = {"seconds": seconds, "begin": begin, "end": end, "ids": [str(one) for one in ids]}
    return (await connection.execute(_OF_QUEUES, values)).mappings().all()


async def busiest(
    connection: AsyncConnection,
    seconds: int,
    begin: datetime,
    end: datetime,
    among: Iterable[int],
    limit: int,
) -> list[int]:
    """Those of the queues that had the most agents, the first first; who had none is not told."""
    values = {"seconds": seconds, "begin": begin, "end": end, "limit": limit}
    values |= {"ids": [str(one) for one in among], "most": MOST_MOMENTS}
    return list((await connection.scalars(_BUSIEST, values)).all())


async def ago(connection: AsyncConnection, seconds: float) -> datetime:
    found: datetime = await connection.scalar(_BEFORE, {"seconds": seconds})
    return found


async def changes(connection: AsyncConnection, begin: datetime, limit: int) -> Sequence[RowMapping]:
    """Who changed which queue, newest first."""
    query = _changes.where(history.c.at >= begin).limit(limit)
    return (await connection.execute(query)).mappings().all()


async def children(connection: AsyncConnection, parent: int | None) -> dict[int, str]:
    """The fullpaths of the queues right below one (None: the root), by id."""
    query = select(jobqueues.c.id, jobqueues.c.fullpath)
    found = await connection.execute(query.where(jobqueues.c.parent_jobqueue_id == parent))
    return {row.id: row.fullpath for row in found}
