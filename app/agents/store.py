"""The SQL of agents. Leases are stamped by the database's clock alone."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, delete, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.counts import HELD_BY
from app.db.tables import agents
from app.tokens.store import VALID

# The same rule as `policy.states.agent_state`, to choose rows by.
STATE = """CASE
    WHEN g.mode = 'disabled' THEN 'disabled'
    WHEN NOT g.online THEN 'offline'
    WHEN g.mode = 'draining' THEN 'draining'
    ELSE 'online'
END"""

# An agent as JSON shows it, with its active assignment: at most one.
_SHOWN = f"""
SELECT g.*, s.id AS assignment_id, s.job_id, s.ordinals, s.started_at, j.title
FROM agents g
{HELD_BY.format(agent="g")}
LEFT JOIN jobs j ON j.id = s.job_id
"""

# The agent that a registration is of: the one with its id, else the one at its address; one that
# has neither is the oldest of its host that has neither.
_KNOWN = text("""
SELECT id, mode, online, joined_with, job_queue_id FROM agents
WHERE id = :id
    OR (hostname = :hostname AND port = :port)
    OR (CAST(:id AS uuid) IS NULL AND CAST(:port AS int) IS NULL
        AND hostname = :hostname AND port IS NULL AND NOT keeps_id)
ORDER BY id = :id DESC NULLS LAST, time_registered, id
LIMIT 1
""")

# Those whose token is valid, or of the environment.
_BEATS = f"""
beats AS (
    SELECT b.id, b.ram
    FROM unnest(CAST(:ids AS uuid[]), CAST(:rams AS int[]), CAST(:tokens AS bigint[]))
        AS b (id, ram, token_id)
    WHERE token_id IS NULL OR EXISTS (SELECT FROM tokens WHERE id = b.token_id AND {VALID})
)"""

# A sign of life. An agent that holds nothing may have a longer lease, for the poll that waits.
_SIGN_OF_LIFE = f"""
UPDATE agents SET online = true, last_seen = clock_timestamp(),
    lease_expires_at = greatest(
        clock_timestamp() + make_interval(secs => :lease_seconds),
        CASE WHEN s.id IS NULL THEN agents.lease_expires_at END
    ),
    free_ram = coalesce(b.ram, free_ram)
FROM found f JOIN beats b ON b.id = f.id {HELD_BY.format(agent="f")} WHERE agents.id = f.id
RETURNING agents.id, mode, agents.online, lease_expires_at, NOT f.online AS returned
"""

# Without the farm lock nobody may wait here for a row: two that took several in another order would
# wait for each other.
_RENEW = text(f"""
WITH {_BEATS}, found AS (
    SELECT g.id, g.online FROM agents g JOIN beats b ON b.id = g.id
    WHERE g.online FOR UPDATE OF g SKIP LOCKED
)
{_SIGN_OF_LIFE}
""")
_COME_ONLINE = text(f"""
WITH {_BEATS}, found AS (
    SELECT g.id, g.online FROM agents g JOIN beats b ON b.id = g.id FOR UPDATE OF g
)
{_SIGN_OF_LIFE}
""")

_PAGE = text(f"""{_SHOWN}
WHERE (CAST(:after AS uuid) IS NULL OR g.id > :after)
    AND (CAST(:hostname AS text) IS NULL OR g.hostname = :hostname)
    AND (CAST(:state AS text) IS NULL OR {STATE} = :state)
ORDER BY g.id LIMIT :limit
""")

# What an agent may still be working on and shall not: what was taken back since it last asked for
# work, and what it says it works on if that is over or not its own.
_STOP = text("""
WITH beats AS (
    SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:reported AS bigint[])) AS b (id, reported)
)
SELECT g.id AS agent_id, s.id FROM beats b JOIN agents g ON g.id = b.id, LATERAL (
    SELECT * FROM assignments WHERE agent_id = g.id ORDER BY id DESC LIMIT 1
) s
WHERE s.ended_at > coalesce(g.last_asked, g.time_registered)
    AND s.ended_because NOT IN ('completed', 'released')
UNION
SELECT b.id, b.reported FROM beats b WHERE b.reported IS NOT NULL AND NOT EXISTS (
    SELECT FROM assignments WHERE id = b.reported AND agent_id = b.id AND ended_at IS NULL
)
ORDER BY 2
""")


async def known(
    connection: AsyncConnection, agent_id: UUID | None, hostname: str, port: int | None
) -> RowMapping | None:
    """The agent that a registration with these facts is of, None for a new one."""
    values = {"id": agent_id, "hostname": hostname, "port": port}
    return (await connection.execute(_KNOWN, values)).mappings().one_or_none()


async def add(
    connection: AsyncConnection, agent_id: UUID, facts: dict[str, Any], lease_seconds: float
) -> None:
    lease = func.clock_timestamp() + timedelta(seconds=lease_seconds)
    await connection.execute(insert(agents).values(id=agent_id, lease_expires_at=lease, **facts))


async def change(connection: AsyncConnection, agent_id: UUID, values: dict[str, Any]) -> None:
    await connection.execute(update(agents).where(agents.c.id == agent_id).values(values))


async def get(connection: AsyncConnection, agent_id: UUID) -> RowMapping | None:
    found = await connection.execute(text(_SHOWN + "WHERE g.id = :id"), {"id": agent_id})
    return found.mappings().one_or_none()


async def get_all(connection: AsyncConnection, agent_ids: Sequence[UUID]) -> Sequence[RowMapping]:
    """Those of the agents that are there."""
    query = text(_SHOWN + "WHERE g.id = ANY(CAST(:ids AS uuid[]))")
    return (await connection.execute(query, {"ids": list(agent_ids)})).mappings().all()


async def page(
    connection: AsyncConnection,
    state: str | None,
    hostname: str | None,
    after: UUID | None,
    limit: int,
) -> Sequence[RowMapping]:
    """Agents past the id `after` in this state, on this host, by id."""
    values = {"after": after, "state": state, "hostname": hostname, "limit": limit}
    return (await connection.execute(_PAGE, values)).mappings().all()


class Sign(NamedTuple):
    """Of an agent: its free memory in MB, None where it did not say, and by which token."""

    agent_id: UUID
    free_ram: int | None = None
    token_id: int | None = None


Beats = Sequence[Sign]


async def renew(
    connection: AsyncConnection, beats: Beats, lease_seconds: float
) -> Sequence[RowMapping]:
    """Renew the leases of agents that have one, but for rows that somebody else holds just now."""
    return await _live(connection, _RENEW, beats, lease_seconds)


async def come_online(
    connection: AsyncConnection, beats: Beats, lease_seconds: float
) -> Sequence[RowMapping]:
    """Give agents a lease; `returned` are those that had none. The caller holds the farm lock."""
    return await _live(connection, _COME_ONLINE, beats, lease_seconds)


async def _live(
    connection: AsyncConnection, statement: TextClause, beats: Beats, lease_seconds: float
) -> Sequence[RowMapping]:
    ids, rams, tokens = map(list, zip(*beats, strict=True))
    values = {"ids": ids, "rams": rams, "tokens": tokens, "lease_seconds": lease_seconds}
    return (await connection.execute(statement, values)).mappings().all()


async def to_stop(
    connection: AsyncConnection, reported: Sequence[tuple[UUID, int | None]]
) -> Sequence[RowMapping]:
    """Assignments (agent_id, id) that these agents may still be working on and shall not.

    Each agent comes with the assignment that it says it works on.
    """
    ids, assignment_ids = zip(*reported, strict=True)
    values = {"ids": list(ids), "reported": list(assignment_ids)}
    return (await connection.execute(_STOP, values)).mappings().all()


async def remove(connection: AsyncConnection, agent_id: UUID) -> RowMapping | None:
    """Delete the agent; what it was called, None where it was not there."""
    gone = delete(agents).where(agents.c.id == agent_id)
    found = await connection.execute(gone.returning(agents.c.hostname, agents.c.port))
    return found.mappings().one_or_none()
