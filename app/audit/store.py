"""The SQL of the audit. It reads only, and sees the farm at one instant."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from app.audit.findings import LISTED, Check
from app.db import schema
from app.db.counts import UNFINISHED, WAITING
from app.ranges import MAX_DEPTH

Rows = Sequence[asyncpg.Record]

# Rows of the history that come from the server at a time.
AT_A_TIME = 2_000

# One more, so that whoever lists them sees that there are more.
_LIMIT = f"LIMIT {LISTED + 1}"

# What the tasks' rows say of each job. {jobs} is all of them, or those that are not finished.
_JOBS = f"""
WITH counted AS MATERIALIZED (
    SELECT j.id, j.tasks_done, j.tasks_failed, j.tasks_total, {WAITING} AS waiting,
        j.time_finished IS NOT NULL AS finished,
        count(t.job_id) FILTER (WHERE t.state = 'done') AS done,
        count(t.job_id) FILTER (WHERE t.state = 'failed') AS failed,
        j.tasks_total - count(t.job_id) FILTER (WHERE t.state <> 'waiting') AS should_wait,
        count(t.job_id) FILTER (WHERE (t.state = 'waiting') <> (j.waiting @> t.ordinal)) AS wrong,
        int4multirange(int4range(0, j.tasks_total)) @> j.waiting AS within
    FROM jobs_now j LEFT JOIN tasks t ON t.job_id = j.id
    WHERE {{jobs}}
    GROUP BY j.id, j.tasks_done, j.tasks_failed, j.tasks_total, j.waiting, j.time_finished
)
(SELECT '{Check.JOB_COUNTS}' AS "check", 'job ' || id AS subject, format(
    'stored are %s done and %s failed of %s, and that it %s; its tasks are %s and %s',
    tasks_done, tasks_failed, tasks_total,
    CASE WHEN finished THEN 'is finished' ELSE 'goes on' END, done, failed) AS detail
FROM counted WHERE (tasks_done, tasks_failed) <> (done, failed)
    OR finished <> (tasks_done + tasks_failed = tasks_total) ORDER BY id {_LIMIT})
UNION ALL
(SELECT '{Check.WAITING_TASKS}', 'job ' || id, format(
    'stored as waiting are %s, of its tasks %s wait; %s of them are stored wrong',
    waiting, should_wait, wrong)
FROM counted WHERE waiting <> should_wait OR wrong > 0 OR NOT within ORDER BY id {_LIMIT})
"""

# How far a job is stands in one row, whose version no constraint keeps the only one.
_JOB_PROGRESS = f"""
SELECT '{Check.JOB_PROGRESS}' AS "check",
    'job ' || j.id AS subject,
    format('has %s rows that say how far it is', count(p.job_id)) AS detail
FROM jobs j LEFT JOIN job_progress p ON p.job_id = j.id
WHERE {{jobs}}
GROUP BY j.id HAVING count(p.job_id) <> 1
ORDER BY j.id {_LIMIT}
"""

_AGENT_HELD_TWICE = f"""
SELECT '{Check.AGENT_HELD_TWICE}' AS "check",
    'agent ' || agent_id AS subject,
    'holds the assignments ' || string_agg(CAST(id AS text), ', ' ORDER BY id) AS detail
FROM assignments WHERE ended_at IS NULL GROUP BY agent_id HAVING count(*) > 1
ORDER BY agent_id {_LIMIT}
"""

# What an active assignment has not reported must be running, and be of it.
_ASSIGNMENT_TASKS = f"""
SELECT '{Check.ASSIGNMENT_TASKS}' AS "check",
    'assignment ' || a.id AS subject, CASE
    WHEN cardinality(a.ordinals) <= cardinality(a.done) + cardinality(a.failed)
    THEN 'all its tasks are reported, and it has not ended'
    ELSE format('its tasks %s of job %s do not run for it', w.ordinals, a.job_id) END AS detail
FROM assignments a JOIN jobs j ON j.id = a.job_id, LATERAL (
    SELECT array_agg(o ORDER BY o) AS ordinals FROM unnest(a.ordinals) AS o
    WHERE o <> ALL (a.done) AND o <> ALL (a.failed) AND NOT EXISTS (
        SELECT FROM tasks t WHERE t.job_id = a.job_id AND t.ordinal = o
            AND t.state = 'running' AND t.assignment_id = a.id
    )
) w
WHERE a.ended_at IS NULL AND j.time_finished IS NULL AND (
    w.ordinals IS NOT NULL OR cardinality(a.ordinals) <= cardinality(a.done) + cardinality(a.failed)
)
ORDER BY a.id {_LIMIT}
"""

_TASK_NOT_HELD = f"""
SELECT '{Check.TASK_NOT_HELD}' AS "check",
    'job ' || t.job_id AS subject, format('task %s runs for assignment %s, which %s',
    t.ordinal, t.assignment_id, CASE WHEN a.id IS NULL THEN 'is not there'
    WHEN a.ended_at IS NOT NULL THEN 'has ended' ELSE 'is not of it' END) AS detail
FROM jobs j JOIN tasks t ON t.job_id = j.id LEFT JOIN assignments a ON a.id = t.assignment_id
WHERE {{jobs}} AND t.state = 'running' AND (
    a.id IS NULL OR a.ended_at IS NOT NULL OR a.job_id IS DISTINCT FROM t.job_id
    OR t.ordinal <> ALL (a.ordinals)
)
ORDER BY t.job_id, t.ordinal {_LIMIT}
"""

_ASSIGNMENT_STRAY = f"""
SELECT '{Check.ASSIGNMENT_STRAY}' AS "check",
    'assignment ' || a.id AS subject, concat_ws(' and ',
    CASE WHEN j.id IS NULL THEN format('its job %s is gone', a.job_id)
        WHEN j.time_finished IS NOT NULL THEN format('its job %s is finished', a.job_id) END,
    CASE WHEN g.id IS NULL THEN format('its agent %s is gone', a.agent_id)
        WHEN NOT g.online OR g.mode = 'disabled'
        THEN format('its agent %s is offline or disabled', a.agent_id) END) AS detail
FROM assignments a LEFT JOIN jobs j ON j.id = a.job_id LEFT JOIN agents g ON g.id = a.agent_id
WHERE a.ended_at IS NULL AND (j.id IS NULL OR j.time_finished IS NOT NULL
    OR g.id IS NULL OR NOT g.online OR g.mode = 'disabled')
ORDER BY a.id {_LIMIT}
"""

# No key holds a task to its job.
_TASK_STRAY = f"""
SELECT '{Check.TASK_STRAY}' AS "check", 'job ' || t.job_id AS subject,
    format('is gone, and has %s tasks', count(*)) AS detail
FROM tasks t WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.id = t.job_id)
GROUP BY t.job_id
ORDER BY t.job_id {_LIMIT}
"""

_TREE = f"""
WITH RECURSIVE tree AS (
    SELECT id, '/' || name AS path, 1 AS level FROM jobqueues WHERE parent_jobqueue_id IS NULL
    UNION ALL
    SELECT q.id, t.path || '/' || q.name, t.level + 1
    FROM tree t JOIN jobqueues q ON q.parent_jobqueue_id = t.id WHERE t.level < {2 * MAX_DEPTH}
)
"""

_QUEUE_FULLPATH = f"""{_TREE}
SELECT '{Check.QUEUE_FULLPATH}' AS "check",
    'queue ' || q.id AS subject, format('stored %s; its place is %s', q.fullpath, t.path)
    AS detail
FROM jobqueues q JOIN tree t ON t.id = q.id WHERE q.fullpath <> t.path
ORDER BY t.level, q.id {_LIMIT}
"""

_QUEUE_CYCLE = f"""{_TREE}
SELECT '{Check.QUEUE_CYCLE}' AS "check",
    'queue ' || q.id AS subject,
    format('%s is not below the top: it or one above it is below itself', q.fullpath) AS detail
FROM jobqueues q WHERE NOT EXISTS (SELECT FROM tree t WHERE t.id = q.id)
ORDER BY q.id {_LIMIT}
"""

_STATEMENTS = (
    _JOBS,
    _JOB_PROGRESS,
    _AGENT_HELD_TWICE,
    _ASSIGNMENT_TASKS,
    _TASK_NOT_HELD,
    _ASSIGNMENT_STRAY,
    _QUEUE_FULLPATH,
    _QUEUE_CYCLE,
)
_ALL_JOBS, _UNFINISHED_JOBS = "true", UNFINISHED

# --- the history ---

# From the oldest day on that has a partition of its own: what is older may have holes.
_SINCE = r"""
SELECT min(CAST(substring(b.bounds FROM 'FROM \(''([^'']+)''\)') AS timestamptz)) AS since,
    bool_or(b.bounds LIKE '%(MINVALUE)%') AS from_the_beginning
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
    LATERAL pg_get_expr(c.relpartbound, c.oid) AS b(bounds)
WHERE i.inhparent = CAST('history' AS regclass)
"""

_ACTIONS = (
    *("jobqueue.created", "jobqueue.changed", "jobqueue.deleted"),
    *("job.submitted", "job.changed", "job.rerun", "job.rerun_failed", "job.deleted"),
    *("assignment.made", "assignment.reported", "assignment.ended"),
)

_EVENTS = """
SELECT id, action, job_queue_id, job_id, agent_id, assignment_id, CAST(detail AS text) AS detail
FROM history WHERE at >= $1 AND action = ANY($2::text[]) ORDER BY id
"""

_FIRST_MADE = """
SELECT min(assignment_id) FROM history WHERE at >= $1 AND action = 'assignment.made'
"""

# What a queue had before its first change that is kept, and what it has where none is.
_QUEUES_BEFORE = """
SELECT coalesce(q.id, h.id) AS id, coalesce(h.had, '{}') AS had,
    CASE WHEN q.id IS NOT NULL THEN jsonb_build_object('maximum_agents', q.maximum_agents,
        'parent_jobqueue_id', q.parent_jobqueue_id) ELSE '{}' END AS has
FROM jobqueues q FULL JOIN (
    SELECT f.id, jsonb_object_agg(f.key, f.value) AS had FROM (
        SELECT DISTINCT ON (h.job_queue_id, e.key) h.job_queue_id AS id, e.key, e.value
        FROM history h, jsonb_each(h.detail -> 'from') e
        WHERE h.at >= $1 AND h.job_queue_id IS NOT NULL AND h.action = 'jobqueue.changed'
        ORDER BY h.job_queue_id, e.key, h.id
    ) f GROUP BY f.id
) h ON h.id = q.id
"""

_JOBS_BEFORE = """
SELECT n.id, coalesce((
    SELECT jsonb_object_agg(f.key, f.value) FROM (
        SELECT DISTINCT ON (e.key) e.key, e.value
        FROM history h, jsonb_each(h.detail -> 'from') e
        WHERE h.at >= $1 AND h.job_id = n.id AND h.action = 'job.changed' ORDER BY e.key, h.id
    ) f
), '{}') AS had,
    CASE WHEN j.id IS NOT NULL THEN jsonb_build_object('maximum_agents', j.maximum_agents,
        'job_queue_id', j.job_queue_id) ELSE '{}' END AS has
FROM unnest($2::bigint[]) AS n(id) LEFT JOIN jobs j ON j.id = n.id
"""

# Assignments that were made before what is kept, and that it, or the present, tells the end of.
_HELD_BEFORE = """
SELECT a.id, a.agent_id, a.job_id FROM assignments a
WHERE a.id < $2 AND (a.ended_at IS NULL
    OR a.ended_at >= CAST($1 AS timestamptz) - interval '1 minute' AND EXISTS (
        SELECT FROM history h WHERE h.at >= $1 AND h.assignment_id = a.id AND (
            h.action = 'assignment.ended'
            OR h.action = 'assignment.reported' AND h.detail ->> 'ended' = 'true'
        )
    )
)
"""

_ACTIVE = "SELECT id FROM assignments WHERE ended_at IS NULL"


async def recount(connection: asyncpg.Connection, *, finished: bool) -> AsyncIterator[Rows]:
    """What each statement finds, as `check`, `subject` and `detail`.

    With `finished` the tasks of finished jobs are counted as well, and those of none are found.
    """
    jobs = _ALL_JOBS if finished else _UNFINISHED_JOBS
    for statement in (*_STATEMENTS, _TASK_STRAY) if finished else _STATEMENTS:
        yield await _rows(connection, statement.replace("{jobs}", jobs))


async def told_of_schema(connection: asyncpg.Connection) -> str | None:
    """What `schema.check` reads; None where there is no schema, or too old a one."""
    if await connection.fetchval("SELECT to_regclass('schema_fits')") is None:
        return None
    found: str | None = await connection.fetchval(f"SELECT {schema.TOLD}")
    return found


async def since(connection: asyncpg.Connection) -> datetime | None:
    """The first moment of which all of the history is kept, None where nothing is missing."""
    row = await connection.fetchrow(_SINCE)
    return None if row["from_the_beginning"] else row["since"]


async def events(connection: asyncpg.Connection, after: datetime) -> AsyncIterator[Rows]:
    """The history from then on that a replay needs, in parts, from a cursor of the server."""
    cursor = await connection.cursor(_EVENTS, after, list(_ACTIONS))
    while rows := await cursor.fetch(AT_A_TIME):
        yield rows


async def first_made(connection: asyncpg.Connection, after: datetime) -> int:
    """The lowest assignment whose making is kept; above all ids where none is."""
    found: int | None = await connection.fetchval(_FIRST_MADE, after)
    return 2**63 - 1 if found is None else found


async def queues_before(connection: asyncpg.Connection, after: datetime) -> Rows:
    """Each queue's id, and as JSON text what it `had` before its changes, and `has` now."""
    return await _rows(connection, _QUEUES_BEFORE, after)


async def jobs_before(connection: asyncpg.Connection, after: datetime, ids: list[int]) -> Rows:
    """The same of these jobs."""
    return await _rows(connection, _JOBS_BEFORE, after, ids)


async def held_before(connection: asyncpg.Connection, after: datetime, below: int) -> Rows:
    """Assignments with ids below, not over at the beginning of what is kept."""
    return await _rows(connection, _HELD_BEFORE, after, below)


async def active(connection: asyncpg.Connection) -> set[int]:
    return {row["id"] for row in await _rows(connection, _ACTIVE)}


async def _rows(connection: asyncpg.Connection, statement: str, *values: Any) -> Rows:
    found: Rows = await connection.fetch(statement, *values)
    return found
