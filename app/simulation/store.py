"""The SQL of a simulation: the live farm in one snapshot, with no lock, and measured task times."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from app.db.counts import HELD_BY
from app.scheduler.store import Rows

# When agents last asked, in which order they get their turn; since when they work.
_AGENTS = f"""
SELECT g.id, g.ram, g.last_asked,
    extract(epoch FROM clock_timestamp() - s.started_at)::float8 AS elapsed
FROM agents g {HELD_BY.format(agent="g")}
WHERE g.online AND g.mode <> 'disabled'
ORDER BY g.last_asked NULLS LAST, g.id
"""

# The moment of the snapshot, by the database's clock.
_NOW = "SELECT extract(epoch FROM now())::float8"

_TITLES = "SELECT id, title FROM jobs WHERE time_finished IS NULL"

# Of each job some assignments, the latest by their tasks, whose time is divided by their tasks.
_MEASURED = """
SELECT j.id, count(*)::int AS number, avg(ln(m.seconds))::float8 AS mu,
    coalesce(stddev_samp(ln(m.seconds)), 0)::float8 AS sigma
FROM unnest($1::bigint[]) AS j(id), LATERAL (
    SELECT greatest(extract(epoch FROM s.ended_at - s.started_at)::float8, 0.001)
        / cardinality(s.ordinals) AS seconds
    FROM (
        SELECT DISTINCT latest.assignment_id AS id FROM (
            SELECT t.assignment_id FROM tasks t
            WHERE t.job_id = j.id AND t.state = 'done' ORDER BY t.ordinal DESC LIMIT $2
        ) latest
    ) a JOIN assignments s ON s.id = a.id
    WHERE s.ended_because = 'completed' AND s.failed = '{}'
) m
GROUP BY j.id
"""

# The jobs of each queue that were submitted last, of those that are over.
_OVER = """
SELECT q.id AS job_queue_id, j.id
FROM unnest($1::bigint[]) AS q(id), LATERAL (
    SELECT id FROM jobs
    WHERE job_queue_id IS NOT DISTINCT FROM q.id AND time_finished IS NOT NULL
    ORDER BY id DESC LIMIT $2
) j
"""


async def agents(connection: asyncpg.Connection) -> Rows:
    """Those that are online, and may finish what they have: who asked first comes first."""
    return await _rows(connection, _AGENTS)


async def now(connection: asyncpg.Connection) -> float:
    """When the transaction began, in seconds of the epoch."""
    found: float = await connection.fetchval(_NOW)
    return found


async def titles(connection: asyncpg.Connection) -> Rows:
    """Of unfinished jobs."""
    return await _rows(connection, _TITLES)


async def measured(connection: asyncpg.Connection, job_ids: Sequence[int], tasks: int) -> Rows:
    """The logarithm of seconds a task: number, mean and deviation, by at most so many of a job."""
    return await _rows(connection, _MEASURED, job_ids, tasks)


async def jobs_over(
    connection: asyncpg.Connection, queue_ids: Sequence[int | None], jobs: int
) -> Rows:
    """The last jobs of these queues that are over, so many of each; None is the root."""
    return await _rows(connection, _OVER, queue_ids, jobs)


async def _rows(connection: asyncpg.Connection, statement: str, *values: Any) -> Rows:
    found: Rows = await connection.fetch(statement, *values)
    return found
