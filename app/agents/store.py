"""The SQL of agents. Leases are stamped by the database's clock alone."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, delete, func, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import agents

# The same rule as `policy.states.agent_state`, to choose rows by.
_STATE = """CASE
    WHEN g.mode = 'disabled' THEN 'disabled'
    WHEN NOT g.online THEN 'offline'
    WHEN g.mode = 'draining' THEN 'draining'
    ELSE 'online'
END"""

# An agent as JSON shows it, with its active assignment: at most one.
_SHOWN = """
SELECT g.*, a.id AS assignment_id, a.job_id, a.ordinals, a.started_at, j.title
FROM agents g
LEFT JOIN assignments a ON a.agent_id = g.id AND a.ended_at IS NULL
LEFT JOIN jobs j ON j.id = a.job_id
"""

# The agent that a registration is of: the one with its id, else the one at its address; one that
# has neither is the oldest of its host that has neither.
_KNOWN = text("""
SELECT id, mode, online FROM agents
WHERE id = :id
    OR (hostname = :hostname AND port = :port)
    OR (CAST(:id AS uuid) IS NULL AND CAST(:port AS int) IS NULL
        AND hostname = :hostname AND port IS NULL AND NOT keeps_id)
ORDER BY id = :id DESC NULLS LAST, time_registered, id
LIMIT 1
""")

# A sign of life. An agent that holds nothing may have a longer lease, for the poll that waits.
_SIGN_OF_LIFE = """
UPDATE agents SET online = true, last_seen = clock_timestamp(),
    lease_expires_at = greatest(
        clock_timestamp() + make_interval(secs => :lease_seconds),
        CASE WHEN NOT EXISTS (
            SELECT FROM assignments WHERE agent_id = agents.id AND ended_at IS NULL
        ) THEN lease_expires_at END
    ),
    free_ram = coalesce(:free_ram, free_ram)
WHERE id = :id
"""
_RENEW = text(f"{_SIGN_OF_LIFE} AND online RETURNING mode, online, lease_expires_at")
_COME_ONLINE = text(f"{_SIGN_OF_LIFE} RETURNING mode, online, lease_expires_at")

_PAGE = text(f"""{_SHOWN}
WHERE (CAST(:after AS uuid) IS NULL OR g.id > :after)
    AND (CAST(:hostname AS text) IS NULL OR g.hostname = :hostname)
    AND (CAST(:state AS text) IS NULL OR {_STATE} = :state)
ORDER BY g.id LIMIT :limit
""")

# What the agent may still be working on and shall not: what was taken back since it last asked for
# work, and what it says it works on if that is over or not its own.
_STOP = text("""
SELECT s.id FROM agents g, LATERAL (
    SELECT * FROM assignments WHERE agent_id = g.id ORDER BY id DESC LIMIT 1
) s
WHERE g.id = :id AND s.ended_at > coalesce(g.last_asked, g.time_registered)
    AND s.ended_because NOT IN ('completed', 'released')
UNION
SELECT CAST(:reported AS bigint) WHERE CAST(:reported AS bigint) IS NOT NULL AND NOT EXISTS (
    SELECT FROM assignments WHERE id = :reported AND agent_id = :id AND ended_at IS NULL
)
ORDER BY 1
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


async def renew(
    connection: AsyncConnection, agent_id: UUID, free_ram: int | None, lease_seconds: float
) -> RowMapping | None:
    """Renew the lease of an agent that has one; None where it has none, or is not there."""
    values = {"id": agent_id, "free_ram": free_ram, "lease_seconds": lease_seconds}
    return (await connection.execute(_RENEW, values)).mappings().one_or_none()


async def come_online(
    connection: AsyncConnection, agent_id: UUID, free_ram: int | None, lease_seconds: float
) -> RowMapping | None:
    """Give an agent a lease; None where there is no such agent."""
    values = {"id": agent_id, "free_ram": free_ram, "lease_seconds": lease_seconds}
    return (await connection.execute(_COME_ONLINE, values)).mappings().one_or_none()


async def to_stop(connection: AsyncConnection, agent_id: UUID, reported: int | None) -> list[int]:
    """Assignments that the agent may still be working on and shall not, by id."""
    found = await connection.scalars(_STOP, {"id": agent_id, "reported": reported})
    return list(found.all())


async def remove(connection: AsyncConnection, agent_id: UUID) -> RowMapping | None:
    """Delete the agent; what it was called, None where it was not there."""
    gone = delete(agents).where(agents.c.id == agent_id)
    found = await connection.execute(gone.returning(agents.c.hostname, agents.c.port))
    return found.mappings().one_or_none()
