"""The SQL of tokens. They expire by the database's clock."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import RowMapping, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import tokens

VALID = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())"

_LEFT = "CAST(extract(epoch FROM expires_at - clock_timestamp()) AS float8) AS seconds_left"

_VALID = text(f"""
SELECT id, role, name, digest, agent_id, job_queue_id, {_LEFT}
FROM tokens WHERE id = :id AND {VALID}
""")

_VALID_OF = f"SELECT id, digest, {_LEFT} FROM tokens WHERE id = ANY($1::bigint[]) AND {VALID}"

_ENDED = text(f"""
SELECT t.id FROM unnest(CAST(:ids AS bigint[])) AS t (id)
WHERE NOT EXISTS (SELECT FROM tokens WHERE id = t.id AND {VALID})
""")

_PAGE = text(f"""
SELECT *, {VALID} AS valid FROM tokens
WHERE id > :after AND (CAST(:role AS text) IS NULL OR role = :role) ORDER BY id LIMIT :limit
""")

_REVOKE = text("""
WITH wanted AS (SELECT id, agent_id FROM tokens WHERE id = :id)
UPDATE tokens t SET revoked_at = clock_timestamp() FROM wanted w
WHERE (t.id = w.id OR t.agent_id = w.agent_id) AND t.revoked_at IS NULL
RETURNING t.id, t.role, t.name
""")

_REVOKE_OF_AGENT = text("""
UPDATE tokens SET revoked_at = clock_timestamp()
WHERE agent_id = :agent_id AND revoked_at IS NULL AND id <> :keep
""")

_END_SOON = text(f"""
UPDATE tokens SET expires_at = least(
    expires_at, clock_timestamp() + make_interval(secs => :seconds)
)
WHERE agent_id = :agent_id AND {VALID} AND id <> :keep
""")

_USE = text(f"""
UPDATE tokens SET uses_left = uses_left - 1
WHERE id = :id AND {VALID} AND (uses_left IS NULL OR uses_left > 0)
RETURNING id
""")

_USED = text("""
UPDATE tokens SET last_used_at = clock_timestamp() WHERE id = ANY(CAST(:ids AS bigint[]))
    AND (last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '30 seconds')
""")

# Agents renew theirs; those that ended long ago tell nobody anything.
_FORGET = text("""
DELETE FROM tokens
WHERE role = 'agent' AND coalesce(revoked_at, expires_at) < clock_timestamp() - interval '30 days'
""")

_ANY_ADMIN = text(f"SELECT EXISTS (SELECT FROM tokens WHERE role = 'admin' AND {VALID})")
_NEXT = text("SELECT nextval(pg_get_serial_sequence('tokens', 'id'))")
_IN = text("SELECT clock_timestamp() + make_interval(secs => :seconds)")


async def valid(connection: AsyncConnection, token_id: int) -> RowMapping | None:
    """What a token is for, and how many `seconds_left` it has; None where it is not valid."""
    return (await connection.execute(_VALID, {"id": token_id})).mappings().one_or_none()


async def valid_of(
    connection: asyncpg.Connection, token_ids: Sequence[int]
) -> dict[int, asyncpg.Record]:
    """Those of the tokens that are valid: their `digest`, and the `seconds_left` of each."""
    return {row["id"]: row for row in await connection.fetch(_VALID_OF, token_ids)}


async def ended(connection: AsyncConnection, token_ids: Sequence[int]) -> set[int]:
    """Those of the tokens that are not valid."""
    return set((await connection.scalars(_ENDED, {"ids": list(token_ids)})).all())


async def next_id(connection: AsyncConnection) -> int:
    found: int = await connection.scalar(_NEXT)
    return found


async def moment(connection: AsyncConnection, seconds: float) -> Any:
    """The database's clock, so many seconds on."""
    return await connection.scalar(_IN, {"seconds": seconds})


async def add(connection: AsyncConnection, values: dict[str, Any]) -> None:
    await connection.execute(insert(tokens).values(values))


async def get(connection: AsyncConnection, token_id: int) -> RowMapping:
    found = await connection.execute(
        select(tokens, text(f"{VALID} AS valid")).where(tokens.c.id == token_id)
    )
    return found.mappings().one()


async def page(
    connection: AsyncConnection, role: str | None, after: int, limit: int
) -> Sequence[RowMapping]:
    values = {"role": role, "after": after, "limit": limit}
    return (await connection.execute(_PAGE, values)).mappings().all()


async def role_of(connection: AsyncConnection, token_id: int) -> str | None:
    found: str | None = await connection.scalar(
        select(tokens.c.role).where(tokens.c.id == token_id)
    )
    return found


async def revoke(connection: AsyncConnection, token_id: int) -> Sequence[RowMapping]:
    """End a token now, and with an agent's all others that it has; those that ended by it."""
    return (await connection.execute(_REVOKE, {"id": token_id})).mappings().all()


async def revoke_of_agent(connection: AsyncConnection, agent_id: UUID, keep: int = 0) -> None:
    await connection.execute(_REVOKE_OF_AGENT, {"agent_id": agent_id, "keep": keep})


async def end_soon(connection: AsyncConnection, agent_id: UUID, keep: int, seconds: float) -> None:
    """Let the agent's other tokens live so much longer, and no more."""
    values = {"agent_id": agent_id, "keep": keep, "seconds": seconds}
    await connection.execute(_END_SOON, values)


async def use(connection: AsyncConnection, token_id: int) -> bool:
    """Count one use of a join token; False where it is used up."""
    return await connection.scalar(_USE, {"id": token_id}) is not None


async def used(connection: AsyncConnection, token_ids: Sequence[int]) -> None:
    await connection.execute(_USED, {"ids": sorted(token_ids)})


async def forget_ended(connection: AsyncConnection) -> None:
    await connection.execute(_FORGET)


async def any_admin(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(_ANY_ADMIN))
