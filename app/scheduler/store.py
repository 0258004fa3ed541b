"""The SQL of a cycle: each statement once, whatever the number of agents and tasks."""

import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.counts import ASSIGNED, HELD

# New polls: the agents live.
_TOUCH = text("""
UPDATE agents a SET
    online = true, last_seen = clock_timestamp(), last_asked = clock_timestamp(),
    free_ram = coalesce(p.free_ram, a.free_ram),
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds)
FROM jsonb_to_recordset(CAST(:polls AS jsonb)) AS p(agent_id uuid, free_ram int)
WHERE a.id = p.agent_id AND a.mode <> 'disabled'
""")

# An agent that holds nothing may stay silent for as long as it waits.
_WAIT = text("""
UPDATE agents a SET
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds + p.wait)
FROM jsonb_to_recordset(CAST(:polls AS jsonb)) AS p(agent_id uuid, wait float8)
WHERE a.id = p.agent_id
""")

_AGENTS = text("""
SELECT id, mode, online, cpus, free_ram, tags FROM agents WHERE id = ANY(CAST(:agent_ids AS uuid[]))
""")

# Of each agent its two latest assignments (the active one, and the one that an answer which got
# lost may still be reported for), and those named.
_ASSIGNMENTS = text("""
SELECT DISTINCT ON (s.id) s.id, s.agent_id, s.job_id, s.ordinals, s.done, s.failed,
    s.ended_at IS NOT NULL AS ended, s.ended_because
FROM (
    SELECT latest.* FROM unnest(CAST(:agent_ids AS uuid[])) AS a(id), LATERAL (
        SELECT * FROM assignments WHERE agent_id = a.id ORDER BY id DESC LIMIT 2
    ) latest
    UNION ALL
    SELECT * FROM assignments WHERE id = ANY(CAST(:assignment_ids AS bigint[]))
) s
ORDER BY s.id
""")

_RUNNABLE = "NOT j.paused AND NOT isempty(j.waiting)"

# The queues that have a runnable job in or below them, with their agents.
_QUEUES = text(f"""
WITH RECURSIVE {HELD}, {ASSIGNED},
needed (id) AS (
    SELECT DISTINCT j.job_queue_id FROM jobs j WHERE {_RUNNABLE} AND j.job_queue_id IS NOT NULL
    UNION
    SELECT q.parent_jobqueue_id FROM needed n JOIN jobqueues q ON q.id = n.id
    WHERE q.parent_jobqueue_id IS NOT NULL
)
SELECT q.id, q.parent_jobqueue_id, q.priority, q.weight, q.minimum_agents, q.maximum_agents,
    q.prefer_running_jobs, q.paused, coalesce(a.agents, 0) AS assigned
FROM needed n JOIN jobqueues q ON q.id = n.id LEFT JOIN assigned a ON a.job_queue_id = q.id
""")

# The runnable jobs, with their agents and whether every parent is done.
_JOBS = text(f"""
WITH {HELD}
SELECT j.id, j.job_queue_id, j.priority, j.weight, j.minimum_agents, j.maximum_agents, j.paused,
    j.frames, j."by", j.num_tiles, j.batch, j.batch_contiguous, j.cpus, j.ram, j.required_tags,
    j.excluded_tags, j.waiting, coalesce(h.agents, 0) AS assigned,
    NOT EXISTS (
        SELECT FROM job_dependencies d JOIN jobs p ON p.id = d.parent_job_id
        WHERE d.job_id = j.id AND p.tasks_done < p.tasks_total
    ) AS parents_done
FROM jobs j LEFT JOIN held h ON h.job_id = j.id
WHERE {_RUNNABLE}
""")

_FAILED_BEFORE = text(f"""
SELECT t.job_id, t.ordinal, t.failed_by FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.state = 'waiting' AND t.failed_by <> '{{}}' AND {_RUNNABLE}
""")

_ONLINE = text("SELECT id, cpus, free_ram, tags FROM agents WHERE online AND mode = 'enabled'")

# New assignments, in the order in which they were decided: the ids of the history tell it.
_GRANT = text("""
WITH granted AS (
    SELECT * FROM jsonb_to_recordset(CAST(:grants AS jsonb))
        AS g(agent_id uuid, job_id bigint, ordinals int[])
),
made AS (
    INSERT INTO assignments (agent_id, job_id, ordinals)
    SELECT agent_id, job_id, ordinals FROM granted
    RETURNING id, agent_id, job_id, ordinals
),
begun AS (
    INSERT INTO tasks (job_id, ordinal, state, attempts, assignment_id, time_started)
    SELECT m.job_id, o, 'running', 1, m.id, clock_timestamp() FROM made m, unnest(m.ordinals) o
    ON CONFLICT (job_id, ordinal) DO UPDATE SET
        state = 'running', attempts = tasks.attempts + 1, progress = 0, time_finished = NULL,
        assignment_id = excluded.assignment_id, time_started = excluded.time_started
),
claimed AS (
    SELECT m.job_id, range_agg(int4range(o, o + 1)) AS ordinals
    FROM made m, unnest(m.ordinals) o GROUP BY m.job_id
),
counted AS (
    UPDATE jobs j SET waiting = j.waiting - c.ordinals,
        time_started = coalesce(j.time_started, clock_timestamp())
    FROM claimed c WHERE j.id = c.job_id
),
leased AS (
    UPDATE agents a SET
        lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds)
    FROM made m WHERE a.id = m.agent_id
),
told AS (
    INSERT INTO history (actor, action, agent_id, job_id, assignment_id, detail)
    SELECT 'scheduler', 'assignment.made', agent_id, job_id, id,
        jsonb_build_object('tasks', to_jsonb(ordinals))
    FROM made ORDER BY id
)
SELECT id, agent_id FROM made
""")

# What an agent needs to know of its assignment: the job, and the tasks that it has not ended.
_ANSWERS = text("""
SELECT s.id, s.agent_id, g.lease_expires_at, s.job_id, j.title, j.data, j.environ, j.cpus, j.ram,
    j.batch, q.fullpath AS queue, j.frames, j.num_tiles,
    (SELECT array_agg(t.ordinal ORDER BY t.ordinal) FROM tasks t
     WHERE t.assignment_id = s.id AND t.state = 'running') AS ordinals,
    (SELECT array_agg(t.attempts ORDER BY t.ordinal) FROM tasks t
     WHERE t.assignment_id = s.id AND t.state = 'running') AS attempts
FROM assignments s
JOIN agents g ON g.id = s.agent_id
JOIN jobs j ON j.id = s.job_id
LEFT JOIN jobqueues q ON q.id = j.job_queue_id
WHERE s.id = ANY(CAST(:assignment_ids AS bigint[]))
""")

_FAILURES = text("""
SELECT t.job_id, t.ordinal, t.failures, j.requeue
FROM unnest(CAST(:job_ids AS bigint[]), CAST(:ordinals AS int[])) AS n(job_id, ordinal)
JOIN tasks t ON t.job_id = n.job_id AND t.ordinal = n.ordinal
JOIN jobs j ON j.id = t.job_id
""")

# What was reported, already judged: `said` is the agent's word, `becomes` the task's next state.
_REPORT = text("""
WITH said AS (
    SELECT * FROM jsonb_to_recordset(CAST(:said AS jsonb)) AS s(assignment_id bigint,
        agent_id uuid, job_id bigint, ordinal int, said text, becomes text, error text,
        progress float8)
),
told_tasks AS (
    UPDATE tasks t SET
        state = s.becomes,
        failures = t.failures + (s.said = 'failed')::int,
        failed_by = CASE WHEN s.said = 'failed' AND s.agent_id <> ALL (t.failed_by)
            THEN t.failed_by || s.agent_id ELSE t.failed_by END,
        last_error = CASE WHEN s.said = 'failed' THEN s.error ELSE t.last_error END,
        progress = CASE s.said WHEN 'done' THEN 1 WHEN 'failed' THEN 0
            ELSE coalesce(s.progress, t.progress) END,
        time_finished = CASE WHEN s.becomes IN ('done', 'failed') THEN clock_timestamp() END
    FROM said s
    WHERE t.job_id = s.job_id AND t.ordinal = s.ordinal AND t.assignment_id = s.assignment_id
),
outcomes AS (
    SELECT assignment_id, agent_id, job_id,
        coalesce(array_agg(ordinal ORDER BY ordinal) FILTER (WHERE said = 'done'), '{}') AS done,
        coalesce(array_agg(ordinal ORDER BY ordinal) FILTER (WHERE said = 'failed'), '{}') AS failed
    FROM said WHERE said <> 'running' GROUP BY assignment_id, agent_id, job_id
),
told_assignments AS (
    UPDATE assignments a SET
        done = a.done || o.done, failed = a.failed || o.failed,
        ended_at = CASE WHEN cardinality(a.done || o.done || a.failed || o.failed)
            = cardinality(a.ordinals) THEN clock_timestamp() END,
        ended_because = CASE WHEN cardinality(a.done || o.done || a.failed || o.failed)
            = cardinality(a.ordinals) THEN 'completed' END
    FROM outcomes o WHERE a.id = o.assignment_id
    RETURNING a.id, a.ended_at IS NOT NULL AS ended
),
totals AS (
    SELECT job_id, count(*) FILTER (WHERE becomes = 'done') AS done,
        count(*) FILTER (WHERE becomes = 'failed') AS failed,
        coalesce(
            range_agg(int4range(ordinal, ordinal + 1)) FILTER (WHERE becomes = 'waiting'), '{}'
        ) AS waiting
    FROM said WHERE said <> 'running' GROUP BY job_id
),
told_jobs AS (
    UPDATE jobs j SET
        tasks_done = j.tasks_done + t.done, tasks_failed = j.tasks_failed + t.failed,
        waiting = j.waiting + t.waiting,
        time_finished = CASE WHEN j.tasks_done + t.done + j.tasks_failed + t.failed
            = j.tasks_total THEN clock_timestamp() END
    FROM totals t WHERE j.id = t.job_id
),
told_history AS (
    INSERT INTO history (actor, action, agent_id, job_id, assignment_id, detail)
    SELECT 'agent:' || o.agent_id, 'assignment.reported', o.agent_id, o.job_id, o.assignment_id,
        jsonb_build_object('done', to_jsonb(o.done), 'failed', to_jsonb(o.failed),
            'ended', a.ended)
    FROM outcomes o JOIN told_assignments a ON a.id = o.assignment_id ORDER BY o.assignment_id
)
SELECT id FROM told_assignments WHERE ended
""")

# The assignment with its agent's lease renewed: a report is a sign of life.
_RENEW = text("""
UPDATE agents a SET last_seen = clock_timestamp(),
    lease_expires_at = clock_timestamp() + make_interval(secs => :lease_seconds)
FROM assignments s
WHERE s.id = :assignment_id AND s.ended_at IS NULL AND a.id = s.agent_id
""")

# Leases that ran out. A heartbeat that comes first takes the row out of the WHERE.
_EXPIRE = text("""
UPDATE agents SET online = false WHERE online AND lease_expires_at < clock_timestamp()
RETURNING id
""")

_ANY_EXPIRED = text(
    "SELECT EXISTS (SELECT FROM agents WHERE online AND lease_expires_at < clock_timestamp())"
)


async def touch(
    connection: AsyncConnection, polls: Iterable[dict[str, Any]], lease_seconds: float
) -> None:
    """Mark agents as alive; each poll has agent_id and free_ram (MB or None)."""
    values = {"polls": _json(list(polls)), "lease_seconds": lease_seconds}
    await connection.execute(_TOUCH, values)


async def wait(
    connection: AsyncConnection, polls: Iterable[dict[str, Any]], lease_seconds: float
) -> None:
    """Let the leases of agents that wait last longer; each has agent_id and wait (seconds)."""
    values = {"polls": _json(list(polls)), "lease_seconds": lease_seconds}
    await connection.execute(_WAIT, values)


async def agents(connection: AsyncConnection, agent_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    return await _rows(connection, _AGENTS, agent_ids=list(agent_ids))


async def assignments(
    connection: AsyncConnection,
    agent_ids: Sequence[UUID] = (),
    assignment_ids: Sequence[int] = (),
) -> Sequence[RowMapping]:
    """The two latest assignments of each agent, and those named, by id."""
    return await _rows(
        connection,
        _ASSIGNMENTS,
        agent_ids=list(agent_ids),
        assignment_ids=list(assignment_ids),
    )


async def queues(connection: AsyncConnection) -> Sequence[RowMapping]:
    return await _rows(connection, _QUEUES)


async def jobs(connection: AsyncConnection) -> Sequence[RowMapping]:
    return await _rows(connection, _JOBS)


async def failed_before(connection: AsyncConnection) -> Sequence[RowMapping]:
    return await _rows(connection, _FAILED_BEFORE)


async def online(connection: AsyncConnection) -> Sequence[RowMapping]:
    return await _rows(connection, _ONLINE)


async def grant(
    connection: AsyncConnection, grants: Sequence[dict[str, Any]], lease_seconds: float
) -> Sequence[RowMapping]:
    """Write assignments (agent_id, job_id, ordinals); returns id and agent_id of each."""
    return await _rows(connection, _GRANT, grants=_json(grants), lease_seconds=lease_seconds)


async def answers(
    connection: AsyncConnection, assignment_ids: Sequence[int]
) -> Sequence[RowMapping]:
    return await _rows(connection, _ANSWERS, assignment_ids=list(assignment_ids))


async def failures(
    connection: AsyncConnection, tasks: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[int, int]]:
    """(job id, ordinal) → (how often it failed, its job's requeue)."""
    rows = await _rows(
        connection,
        _FAILURES,
        job_ids=[job_id for job_id, _ in tasks],
        ordinals=[ordinal for _, ordinal in tasks],
    )
    return {(row["job_id"], row["ordinal"]): (row["failures"], row["requeue"]) for row in rows}


async def report(connection: AsyncConnection, said: Sequence[dict[str, Any]]) -> list[int]:
    """Write what was judged to count; returns the assignments that it ended."""
    return list((await connection.scalars(_REPORT, {"said": _json(said)})).all())


async def renew(connection: AsyncConnection, assignment_id: int, lease_seconds: float) -> None:
    values = {"assignment_id": assignment_id, "lease_seconds": lease_seconds}
    await connection.execute(_RENEW, values)


async def any_expired(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(_ANY_EXPIRED))


async def expire(connection: AsyncConnection) -> list[UUID]:
    """Agents whose lease ran out, now offline."""
    return list((await connection.scalars(_EXPIRE)).all())


async def _rows(connection: AsyncConnection, statement: Any, **values: Any) -> Sequence[RowMapping]:
    return (await connection.execute(statement, values)).mappings().all()


def _json(rows: Any) -> str:
    return json.dumps(rows, default=str)
