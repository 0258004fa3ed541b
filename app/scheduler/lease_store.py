"""The SQL of leases that ran out, by the database's clock alone."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_ANY_EXPIRED = text(
    "SELECT EXISTS (SELECT FROM agents WHERE online AND lease_expires_at < clock_timestamp())"
)

# A heartbeat that comes first takes the row out of the WHERE.
_EXPIRE = text("""
UPDATE agents SET online = false WHERE online AND lease_expires_at < clock_timestamp()
RETURNING id
""")


async def any_expired(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(_ANY_EXPIRED))


async def expire(connection: AsyncConnection) -> list[UUID]:
    """Agents whose lease ran out, now offline."""
    return list((await connection.scalars(_EXPIRE)).all())
