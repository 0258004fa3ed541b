"""How alembic reaches the database: a connection handed in, or FARMQUEUE_DATABASE_URL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import context
from sqlalchemy import Connection, event, text

from app.db.engine import create_engine
from app.db.records import in_models
from app.db.tables import metadata
from app.settings import Settings

# Two that migrate at once do it one after the other.
MIGRATION_LOCK = 0x6D696772  # "migr"
LOOK_AGAIN = 0.5  # seconds

# Where a migration waits for a lock everybody waits behind it: it gives up instead, to try again.
TIMEOUTS = ("SET lock_timeout = '2s'", "SET statement_timeout = '15min'")

# Nobody waits behind these. They wait for every transaction that is older, a dump for one, and would
# have to begin again.
PATIENT = "SET lock_timeout = 0"


def migrate(connection: Connection) -> None:
    """Each revision in a transaction of its own, so that one may build indexes without any."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=in_models,
        transaction_per_migration=True,
    )
    with one_at_a_time(connection), patient(connection), context.begin_transaction():
        context.run_migrations()


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    # Who waits for this lock must not have a snapshot: an index that is built waits for those.
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": MIGRATION_LOCK}):
        connection.commit()
        connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": LOOK_AGAIN})
        connection.commit()
    try:
        for timeout in TIMEOUTS:
            connection.execute(text(timeout))
        connection.commit()
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()


@contextmanager
def patient(connection: Connection) -> Iterator[None]:
    """Let indexes that are built beside those who work wait as long as it takes."""

    def before(_connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if " CONCURRENTLY " in statement:
            cursor.execute(PATIENT)

    def after(_connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if " CONCURRENTLY " in statement:
            cursor.execute(TIMEOUTS[0])

    event.listen(connection, "before_cursor_execute", before)
    event.listen(connection, "after_cursor_execute", after)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", before)
        event.remove(connection, "after_cursor_execute", after)


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
