"""The SQL of a cycle: each statement once, whatever the number of agents and tasks.

Straight to the driver, with arrays for rows: a cycle is what every call of every agent waits for.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from app.db.counts import FINISHED, HELD_BY, NEW_VERSION

Rows = Sequence[asyncpg.Record]

_COLUMN = TypeAdapter(tuple[Any, ...])

Granted = tuple[UUID, int, str, str]  # agent id, job id, ordinals as the text of an array, why
# An agent that called: id, free MB or None, lease in seconds, whether it asked.
Alive = tuple[UUID, int | None, float, bool]
# What changed of a job: id, more done, more failed; ordinals that came back, ordinals that went
# out, both as the text of a multirange.
Numbers = tuple[int, int, int, str, str]
# What was reported of a task; columns as `REPORT` names them.
Judged = tuple[int, UUID, int, int, str, str, str | None, float | None]

# Plans of whole tables.
PLANS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_sort")
_FOR_ALL = "; ".join(f"SET LOCAL {plan} = on" for plan in PLANS)

# The tree from the top, so that a parent comes before its children.
_QUEUES = """
WITH RECURSIVE tree AS (
    SELECT q.*, 1 AS level FROM jobqueues q WHERE parent_jobqueue_id IS NULL
    UNION ALL
    SELECT q.*, t.level + 1 FROM tree t JOIN jobqueues q ON q.parent_jobqueue_id = t.id
)
SELECT id, parent_jobqueue_id, name, priority, weight, minimum_agents, maximum_agents,
    prefer_running_jobs, paused
FROM tree ORDER BY level
"""

_QUEUES_OF = """
SELECT id, parent_jobqueue_id, name, priority, weight, minimum_agents, maximum_agents,
    prefer_running_jobs, paused
FROM jobqueues WHERE id = ANY($1::bigint[])
"""

_LATEST = "SELECT ctid, * FROM job_progress WHERE job_id = {job} ORDER BY version DESC LIMIT 1"

_OF_JOB = """
SELECT j.id, j.title, j.job_queue_id, j.priority, j.weight, j.minimum_agents, j.maximum_agents,
    j.paused, j.frames, j."by", j.num_tiles, j.batch, j.batch_contiguous, j.cpus, j.ram,
    j.required_tags, j.excluded_tags, j.requeue, j.tasks_total, CAST(p.waiting AS text) AS waiting,
    p.tasks_done, p.tasks_failed"""

# Jobs with a task that waits or runs, and what each still waits for.
_JOBS = f"""
{_OF_JOB}, u.parents
FROM jobs j JOIN job_progress p ON p.job_id = j.id LEFT JOIN (
    SELECT d.job_id, array_agg(d.parent_job_id) AS parents
    FROM job_dependencies d JOIN job_progress p ON p.job_id = d.parent_job_id
    WHERE p.tasks_done < p.tasks_total
    GROUP BY d.job_id
) u ON u.job_id = j.id
WHERE j.time_finished IS NULL
"""

_FAILED = "failures > 0 AND state = 'waiting' AND failed_by <> '{}'"

# These, and whether there is more to be read of each: jobs that wait for it, tasks that failed.
JOBS_OF = f"""
{_OF_JOB}, ARRAY(
    SELECT d.parent_job_id
    FROM job_dependencies d, LATERAL ({_LATEST.format(job="d.parent_job_id")}) p
    WHERE d.job_id = j.id AND p.tasks_done < p.tasks_total
) AS parents,
    EXISTS(SELECT FROM job_dependencies d WHERE d.parent_job_id = j.id) AS is_parent,
    EXISTS(SELECT FROM tasks WHERE job_id = j.id AND {_FAILED}) AS has_failed_before
FROM jobs j, LATERAL ({_LATEST.format(job="j.id")}) p
WHERE j.time_finished IS NULL AND j.id = ANY($1::bigint[])
"""

_DEPENDENTS = """
SELECT DISTINCT job_id FROM job_dependencies WHERE parent_job_id = ANY($1::bigint[])
"""

_FAILED_BEFORE = f"SELECT job_id, ordinal, failed_by FROM tasks WHERE {_FAILED}"
_FAILED_BEFORE_OF = f"{_FAILED_BEFORE} AND job_id = ANY($1::bigint[])"

# Agents, each with its active assignment, if it has one.
_AGENTS = f"""
SELECT g.id, g.hostname, g.mode, g.online, g.cpus, g.free_ram, g.tags, g.job_queue_id,
    s.id AS assignment_id, s.job_id, s.ordinals, s.done, s.failed
FROM agents g {HELD_BY.format(agent="g")}
"""
_AGENTS_OF = f"{_AGENTS} WHERE g.id = ANY($1::uuid[])"

# Of each agent its two latest assignments (the active one, and the one that an answer which got
# lost may still be reported for), and those named.
_ASSIGNMENTS = """
SELECT DISTINCT ON (s.id) s.id, s.agent_id, s.job_id, s.ordinals, s.done, s.failed, s.ended_because
FROM (
    SELECT latest.* FROM unnest($1::uuid[]) AS a(id), LATERAL (
        SELECT * FROM assignments WHERE agent_id = a.id ORDER BY id DESC LIMIT 2
    ) latest
    UNION ALL
    SELECT * FROM assignments WHERE id = ANY($2::bigint[])
) s
ORDER BY s.id
"""

_FAILURES = """
SELECT t.job_id, t.ordinal, t.failures, t.failed_by
FROM unnest($1::bigint[], $2::int[]) AS n(job_id, ordinal)
JOIN tasks t ON t.job_id = n.job_id AND t.ordinal = n.ordinal
"""

# What was reported, already judged: `said` is the agent's word, `becomes` the task's next state.
REPORT = """
WITH said AS (
    SELECT * FROM unnest(CAST($14 AS bigint[]), CAST($15 AS uuid[]), CAST($16 AS bigint[]),
        CAST($17 AS int[]), CAST($18 AS text[]), CAST($19 AS text[]), $21, CAST($20 AS float8[]))
        AS s(assignment_id, agent_id, job_id, ordinal, said, becomes, error, progress)
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
    RETURNING a.id, o.agent_id, o.job_id, o.done, o.failed, a.ended_at IS NOT NULL AS ended
)
INSERT INTO history (actor, action, agent_id, job_id, assignment_id, detail)
SELECT 'agent:' || agent_id, 'assignment.reported', agent_id, job_id, id,
    jsonb_build_object('done', to_jsonb(done), 'failed', to_jsonb(failed), 'ended', ended)
FROM told_assignments ORDER BY id
"""

# What a cycle decided. New assignments come in the order in which they were decided: the ids of the
# history tell it. The agents that called live; who waits for work may be silent meanwhile.
DECIDE = f"""
WITH made AS (
    INSERT INTO assignments (agent_id, job_id, ordinals, why)
    SELECT g.agent_id, g.job_id, CAST(g.ordinals AS int[]), g.why
    FROM unnest(CAST($1 AS uuid[]), CAST($2 AS bigint[]), CAST($3 AS text[]), CAST($4 AS text[]))
        AS g(agent_id, job_id, ordinals, why)
    RETURNING id, agent_id, job_id, ordinals
),
begun AS (
    INSERT INTO tasks (job_id, ordinal, state, attempts, assignment_id, time_started)
    SELECT m.job_id, o, 'running', 1, m.id, clock_timestamp() FROM made m, unnest(m.ordinals) o
    ON CONFLICT (job_id, ordinal) DO UPDATE SET
        state = 'running', attempts = tasks.attempts + 1, progress = 0, time_finished = NULL,
        assignment_id = excluded.assignment_id, time_started = excluded.time_started
    RETURNING assignment_id, ordinal, attempts
),
counted AS (
    UPDATE job_progress p SET
        tasks_done = p.tasks_done + n.done, tasks_failed = p.tasks_failed + n.failed,
        waiting = p.waiting + CAST(n.back AS int4multirange) - CAST(n.out AS int4multirange),
        time_started = CASE WHEN n.out = '{{}}' THEN p.time_started
            ELSE coalesce(p.time_started, clock_timestamp()) END,
        version = p.version + (random() < {NEW_VERSION})::int
    FROM unnest(CAST($9 AS bigint[]), CAST($10 AS int[]), CAST($11 AS int[]), CAST($12 AS text[]),
        CAST($13 AS text[]))
        AS n(job_id, done, failed, back, out), LATERAL ({_LATEST.format(job="n.job_id")}) latest
    WHERE p.ctid = latest.ctid
    RETURNING p.job_id, p.tasks_done + p.tasks_failed = p.tasks_total AS finished
),
{FINISHED},
told AS (
    INSERT INTO history (actor, action, agent_id, job_id, assignment_id, detail)
    SELECT 'scheduler', 'assignment.made', agent_id, job_id, id,
        jsonb_build_object('tasks', to_jsonb(ordinals))
    FROM made ORDER BY id
),
alive AS (
    UPDATE agents a SET
        online = a.online OR p.asked, last_seen = clock_timestamp(),
        free_ram = coalesce(p.free_ram, a.free_ram),
        last_asked = CASE WHEN p.asked THEN clock_timestamp() ELSE a.last_asked END,
        lease_expires_at = clock_timestamp() + make_interval(secs => p.lease_seconds)
    FROM unnest(CAST($5 AS uuid[]), CAST($6 AS int[]), CAST($7 AS float8[]), CAST($8 AS bool[]))
        AS p(agent_id, free_ram, lease_seconds, asked)
    WHERE a.id = p.agent_id
)
SELECT now.*, made.*
FROM (
    SELECT clock_timestamp() AS now,
        CAST(CAST(pg_current_xact_id() AS text) AS bigint) AS transaction
) now
LEFT JOIN (
    SELECT assignment_id AS id, array_agg(attempts ORDER BY ordinal) AS attempts
    FROM begun GROUP BY assignment_id
) made ON true
ORDER BY made.id
"""

# For the feed, what `REPORT` and `DECIDE` change of assignments and of the numbers of jobs, as the
# triggers would tell it. A row of nulls would say that all is changed.
TELL = """
INSERT INTO farm_changes (jobs, agents)
SELECT jobs, agents FROM (
    SELECT nullif(CAST($9 AS bigint[]), '{}') AS jobs, nullif(ARRAY(
        SELECT unnest(CAST($1 AS uuid[]))
        UNION
        SELECT agent_id FROM unnest(CAST($15 AS uuid[]), CAST($18 AS text[])) AS s(agent_id, said)
        WHERE said <> 'running'
    ), '{}') AS agents
) changed
WHERE num_nonnulls(jobs, agents) > 0
"""

# The tasks of an assignment that have not ended.
_UNFINISHED = """
SELECT s.id, array_agg(t.ordinal ORDER BY t.ordinal) AS ordinals,
    array_agg(t.attempts ORDER BY t.ordinal) AS attempts
FROM assignments s JOIN tasks t
    ON t.job_id = s.job_id AND t.ordinal = ANY(s.ordinals) AND t.assignment_id = s.id
WHERE s.id = ANY($1::bigint[]) AND t.state = 'running'
GROUP BY s.id
"""

# What an agent is told of a job.
_TOLD = """
SELECT j.id, j.title, CAST(j.data AS text) AS data, CAST(j.environ AS text) AS environ,
    j.cpus, j.ram, j.batch, q.fullpath AS queue
FROM jobs j LEFT JOIN jobqueues q ON q.id = j.job_queue_id WHERE j.id = ANY($1::bigint[])
"""


async def plan_for_all(connection: asyncpg.Connection) -> None:
    """Let statements that read whole tables do so, until the transaction ends."""
    await connection.execute(_FOR_ALL)


async def queues(connection: asyncpg.Connection, ids: Sequence[int] | None = None) -> Rows:
    """All queues, each after its parent; with ids those."""
    return await _all_or_of(connection, _QUEUES, _QUEUES_OF, ids)


async def jobs(connection: asyncpg.Connection, ids: Sequence[int] | None = None) -> Rows:
    """Unfinished jobs; with ids those of them that are."""
    return await _all_or_of(connection, _JOBS, JOBS_OF, ids)


async def dependents(connection: asyncpg.Connection, ids: Sequence[int]) -> list[int]:
    """Jobs that wait, or waited, for one of these."""
    return [row["job_id"] for row in await _rows(connection, _DEPENDENTS, ids)]


async def failed_before(connection: asyncpg.Connection, jobs: Sequence[int] | None = None) -> Rows:
    """Waiting tasks that agents failed."""
    return await _all_or_of(connection, _FAILED_BEFORE, _FAILED_BEFORE_OF, jobs)


async def agents(connection: asyncpg.Connection, ids: Sequence[UUID] | None = None) -> Rows:
    return await _all_or_of(connection, _AGENTS, _AGENTS_OF, ids)


async def assignments(
    connection: asyncpg.Connection, agent_ids: Sequence[UUID], assignment_ids: Sequence[int]
) -> Rows:
    """The two latest assignments of each agent, and those named, by id."""
    return await _rows(connection, _ASSIGNMENTS, agent_ids, assignment_ids)


async def failures(connection: asyncpg.Connection, tasks: Sequence[tuple[int, int]]) -> Rows:
    """How often tasks (job id, ordinal) failed, and by whom."""
    return await _rows(
        connection, _FAILURES, [job_id for job_id, _ in tasks], [ordinal for _, ordinal in tasks]
    )


def decided(
    grants: Sequence[Granted], alive: Sequence[Alive], jobs: Sequence[Numbers]
) -> list[str]:
    """The values of `DECIDE`."""
    return [*_columns(grants, 4), *_columns(alive, 4), *_columns(jobs, 5)]


def reported(said: Sequence[Judged]) -> list[str | Sequence[str | None]]:
    """The values of `REPORT`, which stand behind those of `DECIDE`; agents write what they like."""
    return [*_columns([(*one[:6], one[7]) for one in said], 7), [one[6] for one in said]]


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[str]:
    """Each as the text of an array, which is made sooner than the driver encodes one.

    It is JSON's, but for the brackets: the same for numbers, null, and strings without control
    characters, of which JSON makes what an array takes for letters.
    """
    columns = list(zip(*rows, strict=True)) or [()] * width
    return [f"{{{_COLUMN.dump_json(column)[1:-1].decode()}}}" for column in columns]


async def unfinished(connection: asyncpg.Connection, assignment_ids: Sequence[int]) -> Rows:
    return await _rows(connection, _UNFINISHED, assignment_ids)


async def told(connection: asyncpg.Connection, job_ids: Sequence[int]) -> Rows:
    """What agents are told of these jobs; `data` and `environ` as JSON text."""
    return await _rows(connection, _TOLD, job_ids)


async def _all_or_of(
    connection: asyncpg.Connection, of_all: str, of_some: str, ids: Sequence[Any] | None
) -> Rows:
    return await (_rows(connection, of_all) if ids is None else _rows(connection, of_some, ids))


async def _rows(connection: asyncpg.Connection, statement: str, *values: Any) -> Rows:
    found: Rows = await connection.fetch(statement, *values)
    return found
