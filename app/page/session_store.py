"""The SQL of sessions. They expire by the database's clock."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, delete, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import sessions

_GET = text("""
SELECT token_id, token_digest,
    CAST(extract(epoch FROM expires_at - clock_timestamp()) AS float8) AS seconds_left
FROM page_sessions WHERE digest = :digest AND expires_at > clock_timestamp()
""")

_STANDING = text("""
SELECT digest FROM page_sessions
WHERE digest = ANY(CAST(:digests AS bytea[])) AND expires_at > clock_timestamp()
""")

_EXPIRY = text("clock_timestamp() + make_interval(secs => :seconds)")

_FORGET = text("DELETE FROM page_sessions WHERE expires_at <= clock_timestamp()")


async def get(connection: AsyncConnection, digest: bytes) -> RowMapping | None:
    """What a session is worth, None where there is none or it expired."""
    return (await connection.execute(_GET, {"digest": digest})).mappings().one_or_none()


async def standing(connection: AsyncConnection, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the sessions that did not end."""
    return set((await connection.scalars(_STANDING, {"digests": list(digests)})).all())


async def add(
    connection: AsyncConnection,
    digest: bytes,
    token_id: int | None,
    token_digest: bytes,
    seconds: float,
) -> None:
    """Begin a session; those that expired are gone then."""
    await connection.execute(_FORGET)
    row = {"digest": digest, "token_id": token_id, "token_digest": token_digest}
    await connection.execute(
        insert(sessions).values(**row, expires_at=_EXPIRY), {"seconds": seconds}
    )


async def remove(connection: AsyncConnection, digest: bytes) -> None:
    await connection.execute(delete(sessions).where(sessions.c.digest == digest))
