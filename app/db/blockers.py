"""Who keeps a connection waiting for a lock, seen from beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.driver import AWAY
from app.db.engine import driver_of

# A lock was not had in time, or two would have waited for each other.
LOCK_MISSED = frozenset({"55P03", "40P01"})

LOOK_SECONDS = 0.3

_BLOCKERS = text("""
SELECT format('pid %s (%s), %s for %s s: %s', b.pid, nullif(b.application_name, ''), b.state,
    floor(extract(epoch FROM clock_timestamp() - coalesce(b.xact_start, b.state_change))),
    left(b.query, 80))
FROM unnest(pg_blocking_pids(:pid)) AS pids(pid) JOIN pg_stat_activity b USING (pid)
""")


@asynccontextmanager
async def blockers_of(
    engine: AsyncEngine, connection: AsyncConnection
) -> AsyncIterator[dict[str, None]]:
    """Those that were last seen to hold what `connection` waits for, in words."""
    pid = (await driver_of(connection)).get_server_pid()
    seen: dict[str, None] = {}
    watching = asyncio.create_task(_watch(engine, pid, seen))
    try:
        yield seen
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(engine: AsyncEngine, pid: int, seen: dict[str, None]) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        with suppress(SQLAlchemyError, *AWAY):
            async with engine.connect() as connection:
                found = (await connection.scalars(_BLOCKERS, {"pid": pid})).all()
            if found:
                seen.clear()
                seen.update(dict.fromkeys(found))


def sqlstate(failed: DBAPIError) -> str | None:
    """PostgreSQL's code of what failed."""
    code: str | None = getattr(failed.orig, "sqlstate", None)
    return code
