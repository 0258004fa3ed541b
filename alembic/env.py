"""How alembic reaches the database: a connection handed in, or FARMQUEUE_DATABASE_URL."""

import asyncio
from collections.abc import Callable

from alembic import context
from sqlalchemy import Connection, text

from app.db.engine import create_engine
from app.db.tables import Table
from app.settings import Settings

# Two replicas that start at once migrate one after the other.
MIGRATION_LOCK = 0x6D696772  # "migr"

# A migration that has to wait for a lock would make everybody wait behind it: it gives up instead.
TIMEOUTS = ("SET lock_timeout = '5s'", "SET statement_timeout = '15min'")


def set_timeouts(execute: Callable[[str], None]) -> None:
    for timeout in TIMEOUTS:
        execute(timeout)


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=Table.metadata)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        set_timeouts(context.execute)
        context.run_migrations()


async def connect_and_migrate() -> None:
    settings = Settings()
    if settings.database_url is None:
        raise SystemExit("set FARMQUEUE_DATABASE_URL, or use `farmqueue migrate`")
    engine = create_engine(settings, settings.database_url)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        target_metadata=Table.metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
    )
    with context.begin_transaction():
        set_timeouts(context.execute)
        context.run_migrations()
elif (handed_in := context.config.attributes.get("connection")) is not None:
    migrate(handed_in)
else:
    asyncio.run(connect_and_migrate())
