"""The schema's version: upgrade it, and know whether the database has the one this code needs."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import roles, schema
from app.db.blockers import LOCK_MISSED, blockers_of, sqlstate
from app.db.embedded import database_url
from app.db.engine import create_engine
from app.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

log = structlog.get_logger()

# Seconds before the next try; five minutes in all, then it is given up.
PAUSES = (1, 2, 4, 8, 15, *[30] * 9, None)

# A role asked for what it was not given.
NOT_ALLOWED = "42501"

# In the wheel the revisions lie inside the package, in a checkout beside it.
_PACKAGED = Path(__file__).parents[1] / "migrations"
_LOCATION = _PACKAGED if _PACKAGED.is_dir() else Path(__file__).parents[2] / "alembic"


def config() -> "Config":
    # Here and below: the tool for what a service does at most once need not slow down its start.
    from alembic.config import Config  # noqa: PLC0415

    made = Config()
    made.set_main_option("script_location", str(_LOCATION))
    return made


async def told(connection: AsyncConnection) -> str | None:
    """What the database tells of its schema, for `schema.check`; None where it has none."""
    if not await _has(connection, "alembic_version"):
        return None
    if await _has(connection, "schema_fits"):
        found: str | None = await connection.scalar(text(f"SELECT {schema.TOLD}"))
    else:  # an older one
        found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


async def _has(connection: AsyncConnection, table: str) -> bool:
    found = await connection.scalar(text("SELECT to_regclass(:table)"), {"table": table})
    return found is not None


def upgrade(
    settings: Settings, service_roles: Sequence[str] = (), read_roles: Sequence[str] = ()
) -> None:
    """Bring the database that the settings name (the embedded one too) to the newest revision.

    Then give those roles what they need there, as app/db/roles.py says.
    """
    with database_url(settings) as url:
        try:
            asyncio.run(_upgrade_and_grant(settings, url, service_roles, read_roles))
        except (OSError, SQLAlchemyError, asyncpg.PostgresError, roles.WrongRole) as failed:
            reason = str(failed).split("\n")[0]
            print(f"farmqueue: the database was not migrated: {reason}", file=sys.stderr)  # noqa: T201
            if isinstance(failed, DBAPIError) and sqlstate(failed) == NOT_ALLOWED:
                print("  -> migrate as the role that owns the tables", file=sys.stderr)  # noqa: T201
            raise SystemExit(1) from failed


async def _upgrade_and_grant(
    settings: Settings, url: str, service_roles: Sequence[str], read_roles: Sequence[str]
) -> None:
    engine = create_engine(settings, url)
    try:
        async with engine.connect() as connection:  # before anything is changed
            await roles.check(connection, [*service_roles, *read_roles])
        await upgrade_at(settings, url)
        async with engine.begin() as connection:
            await roles.grant(connection, service_roles, read_roles)
    finally:
        await engine.dispose()


async def upgrade_at(settings: Settings, url: str) -> None:
    """The same at `url`, beside a farm that works.

    A revision that cannot have a lock in time is undone and tried again, with growing pauses.
    """
    engine = create_engine(settings, url)
    try:
        for pause in PAUSES:
            async with engine.connect() as connection, blockers_of(engine, connection) as blockers:
                try:
                    await connection.run_sync(_upgrade_connection)
                    await connection.commit()
                except DBAPIError as failed:
                    if sqlstate(failed) not in LOCK_MISSED or pause is None:
                        raise
                    await connection.invalidate()
                else:
                    return
            log.warning("migration_waits", blocked_by=[*blockers], retry_seconds=pause)
            await asyncio.sleep(pause)
    finally:
        await engine.dispose()


def _upgrade_connection(connection: Connection) -> None:
    from alembic.command import upgrade as alembic_upgrade  # noqa: PLC0415

    handed_in = config()
    handed_in.attributes["connection"] = connection
    alembic_upgrade(handed_in, "head")
