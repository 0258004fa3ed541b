"""The SQL of leases that ran out, by the database's clock alone."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.counts import HELD_BY

_ANY_EXPIRED = text(
    "SELECT EXISTS (SELECT FROM agents WHERE online AND lease_expires_at < clock_timestamp())"
)

# A heartbeat that comes first takes the row out of the WHERE.
_EXPIRE = text(f"""
WITH lost AS (
    UPDATE agents SET online = false WHERE online AND lease_expires_at < clock_timestamp()
    RETURNING id, CAST(extract(epoch FROM clock_timestamp() - lease_expires_at) AS float8) AS late
)
SELECT lost.id, late, s.id AS assignment_id, s.job_id
FROM lost {HELD_BY.format(agent="lost")}
""")  # noqa: S608  # of constants


async def any_expired(connection: AsyncConnection) -> bool:
    return bool(await connection.scalar(_ANY_EXPIRED))


async def expire(connection: AsyncConnection) -> Sequence[RowMapping]:
    """Agents whose lease ran out, now offline: how many seconds ago, and what they held."""
    return (await connection.execute(_EXPIRE)).mappings().all()
