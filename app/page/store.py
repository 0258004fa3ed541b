"""The SQL that only the page needs: the newest jobs first, agents by name, tasks as runs."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, Select, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.agents.store import STATE as AGENT_STATE
from app.db.tables import jobqueues
from app.jobs.store import j, state_case
from app.policy.states import JobState

UNFINISHED = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)

_AGENTS = text(f"""
SELECT g.id FROM agents g
WHERE (CAST(:state AS text) IS NULL OR {AGENT_STATE} = :state)
    AND (CAST(:host AS text) IS NULL OR g.hostname ILIKE :host)
    AND (CAST(:tag AS text) IS NULL OR :tag = ANY(g.tags))
ORDER BY g.hostname, g.port NULLS FIRST, g.id LIMIT :limit OFFSET :skip
""")

_STATES = text(f"SELECT {AGENT_STATE} AS state, count(*) AS agents FROM agents g GROUP BY 1")

# Failures among the latest assignments of each agent.
_FAILURES = text("""
SELECT a.id AS agent_id, coalesce(sum(cardinality(l.failed)), 0)::int AS failed
FROM unnest(CAST(:ids AS uuid[])) AS a(id), LATERAL (
    SELECT failed FROM assignments WHERE agent_id = a.id ORDER BY id DESC LIMIT :latest
) l
GROUP BY a.id
""")

# What an agent did lately. Of a failure the error, where no other agent failed the task since.
_WORK = text("""
SELECT s.id, s.job_id, j.title, s.started_at, s.ended_at, s.ended_because,
    cardinality(s.ordinals) AS tasks, cardinality(s.done) AS done, cardinality(s.failed) AS failed,
    (
        SELECT t.last_error FROM tasks t
        WHERE t.job_id = s.job_id AND t.ordinal = ANY(s.failed)
            AND (t.assignment_id = s.id OR t.failed_by = ARRAY[s.agent_id])
        ORDER BY t.ordinal LIMIT 1
    ) AS error
FROM assignments s LEFT JOIN jobs j ON j.id = s.job_id
WHERE s.agent_id = :agent_id AND (NOT :only_failed OR s.failed <> '{}')
ORDER BY s.id DESC LIMIT :limit
""")

# What of a job does not wait, as ranges of ordinals for each state.
_RUNS = text("""
SELECT state, CAST(range_agg(int4range(ordinal, ordinal + 1)) AS text) AS ordinals
FROM tasks
WHERE job_id = :job_id AND ordinal >= :first AND ordinal < :end AND state <> 'waiting'
GROUP BY state
""")


class Wanted(NamedTuple):
    """Which jobs: in a state, in or below a queue, with some text in the title."""

    state: JobState | None
    queue_id: int | None
    title: str


async def job_ids(
    connection: AsyncConnection, wanted: Wanted, before: int, limit: int
) -> list[int]:
    """The newest of them, below the id `before`."""
    query = select(j.c.id).where(j.c.id < before).order_by(j.c.id.desc()).limit(limit)
    if wanted.state is not None:
        query = query.where(state_case == wanted.state)
    if wanted.state in UNFINISHED:
        query = query.where(j.c.time_finished.is_(None))  # which an index has
    if wanted.title:
        query = query.where(j.c.title.ilike(like(wanted.title)))
    if wanted.queue_id is not None:
        query = query.where(j.c.job_queue_id.in_(_below(wanted.queue_id)))
    return list((await connection.scalars(query)).all())


def _below(queue_id: int) -> Select[Any]:
    """The ids of the queue and of all below it."""
    below = select(jobqueues.c.id).where(jobqueues.c.id == queue_id).cte("below", recursive=True)
    children = select(jobqueues.c.id).join(below, jobqueues.c.parent_jobqueue_id == below.c.id)
    return select(below.union_all(children).c.id)


async def agent_ids(
    connection: AsyncConnection, state: str | None, host: str, tag: str, skip: int, limit: int
) -> list[UUID]:
    """Agents by name, those past the first `skip`."""
    values = {
        "state": state,
        "host": like(host) if host else None,
        "tag": tag or None,
        "skip": skip,
        "limit": limit,
    }
    return list((await connection.scalars(_AGENTS, values)).all())


async def agent_states(connection: AsyncConnection) -> dict[str, int]:
    """How many agents are in each state."""
    return {row.state: row.agents for row in await connection.execute(_STATES)}


async def failures(
    connection: AsyncConnection, agents: Sequence[UUID], latest: int
) -> dict[UUID, int]:
    """How many tasks each of the agents failed in its latest assignments."""
    found = await connection.execute(_FAILURES, {"ids": list(agents), "latest": latest})
    return {row.agent_id: row.failed for row in found}


async def work_of(
    connection: AsyncConnection, agent_id: UUID, limit: int, *, only_failed: bool
) -> Sequence[RowMapping]:
    """The latest assignments of an agent, newest first."""
    values = {"agent_id": agent_id, "limit": limit, "only_failed": only_failed}
    return (await connection.execute(_WORK, values)).mappings().all()


async def runs(connection: AsyncConnection, job_id: int, first: int, end: int) -> dict[str, str]:
    """By state, the ordinals from `first` on and before `end` that do not wait: {[0,5),[7,9)}."""
    found = await connection.execute(_RUNS, {"job_id": job_id, "first": first, "end": end})
    return {row.state: row.ordinals for row in found}


def like(wanted: str) -> str:
    """A pattern for what has this text somewhere in it."""
    escaped = wanted.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
