"""How alembic reaches the database: a connection handed in, or FARMQUEUE_DATABASE_URL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection, text

from app.db.engine import create_engine
from app.db.records import in_models
from app.db.tables import metadata
from app.settings import Settings

# Two replicas that start at once migrate one after the other.
MIGRATION_LOCK = 0x6D696772  # "migr"

# A migration that has to wait for a lock would make everybody wait behind it: it gives up instead.
TIMEOUTS = ("SET lock_timeout = '5s'", "SET statement_timeout = '15min'")


def migrate(connection: Connection) -> None:
    """Each revision in a transaction of its own, so that one may build indexes without any."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=in_models,
        transaction_per_migration=True,
    )
    with one_at_a_time(connection), context.begin_transaction():
        context.run_migrations()


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    for timeout in TIMEOUTS:
        connection.execute(text(timeout))
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()


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
        target_metadata=metadata,
        literal_binds=True,
        dialect_opts={"paramstyle": "named"},
        transaction_per_migration=True,
    )
    for timeout in TIMEOUTS:
        context.execute(timeout)
    with context.begin_transaction():
        context.run_migrations()
elif (handed_in := context.config.attributes.get("connection")) is not None:
    migrate(handed_in)
else:
    asyncio.run(connect_and_migrate())
