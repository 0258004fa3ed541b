"""Connections: one request, one transaction."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.db import schema
from app.db.driver import ASK_WHO_IS_SILENT, FARM_LOCK, HOLDS_BRIEFLY, connect, was_left
from app.settings import Settings

# Who clears many rows that nobody else touches does it before it asks for the farm lock.
CLEANING_LOCK = 0x636C6561  # "clea"

# Who changes queues holds this first: so to find out what is to be changed may take a while, and
# agents get their work meanwhile.
TREE_LOCK = 0x74726565  # "tree"

# In a pooled connection's own notes: it was in hand before.
_USED = "used"

# Where triggers tell every service that the farm changed, with the name of who changed it.
CHANNEL = "farmqueue"

# Where a request's scope has what makes sure, in its transaction, that its token is valid still.
CONFIRM = "farmqueue.confirm"

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
# An output column is computed after the one before it.
_LOCK_FARM = text(f"SELECT {schema.TOLD}, pg_advisory_xact_lock(:farm), {HOLDS_BRIEFLY}")
_LOCK_BOTH = text(
    f"SELECT {schema.TOLD}, pg_advisory_xact_lock(:tree), pg_advisory_xact_lock(:farm),"
    f" {HOLDS_BRIEFLY}"
)


def create_engine(settings: Settings, url: str) -> AsyncEngine:
    """An engine whose statements give up on a lock after `lock_timeout_seconds`."""
    lock_timeout = f"{int(settings.lock_timeout_seconds * 1000)}ms"

    async def open_connection() -> asyncpg.Connection:
        connection = await connect(
            url,
            timeout=settings.lock_timeout_seconds,
            command_timeout=settings.silent_seconds,
            server_settings={
                "application_name": "farmqueue",
                "lock_timeout": lock_timeout,
                "idle_in_transaction_session_timeout": "60000",
                "jit": "off",  # compiling costs more than these short statements
                "timezone": "UTC",
            },
        )
        await connection.execute(ASK_WHO_IS_SILENT)
        return connection

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        pool_size=settings.pool_size,
        max_overflow=0,
        hide_parameters=True,  # an error is logged, what somebody sent is not
        pool_timeout=settings.lock_timeout_seconds,
        pool_pre_ping=True,
        pool_use_lifo=True,  # the one whose statements are prepared already
    )
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", _leave_former)
    return engine


def _note_use(_: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = True


def _leave_former(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
    """After a failover the former primary may live on: all of the process goes to one server."""
    if was_left(connection.driver_connection):
        # The pool opens another one in its place; of one that was just opened that would not help.
        refused = DisconnectionError if _USED in record.info else ConnectionError
        raise refused("another server was met since this was opened")


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's connection below, for statements that every agent waits for."""
    return (await connection.get_raw_connection()).driver_connection


async def drop(connection: AsyncConnection) -> None:
    """Be rid of a connection that may be dead: such a one would not answer to a goodbye."""
    with suppress(Exception):
        (await driver_of(connection)).terminate()
    with suppress(Exception):
        await connection.invalidate()
    with suppress(Exception):
        await connection.close()


async def lock_farm(connection: AsyncConnection) -> None:
    """Wait for the farm-wide lock, held until the transaction ends.

    A statement of its own: one that locks and reads sees the state from before the lock. Raises
    `Unavailable` where the schema is not the one that this code knows.
    """
    schema.check(await connection.scalar(_LOCK_FARM, {"farm": FARM_LOCK}))


async def lock_tree(connection: AsyncConnection) -> None:
    """Let nobody else change queues until the transaction ends. Before the farm lock, if ever."""
    await connection.execute(_LOCK, {"key": TREE_LOCK})


async def lock_tree_and_farm(connection: AsyncConnection) -> None:
    """Wait for both, one after the other, in one statement; as `lock_farm`."""
    schema.check(await connection.scalar(_LOCK_BOTH, {"tree": TREE_LOCK, "farm": FARM_LOCK}))


async def lock_cleaning(connection: AsyncConnection) -> None:
    """Let one clearing of old rows at a time go before the farm lock, so that no two meet there."""
    await connection.execute(_LOCK, {"key": CLEANING_LOCK})


async def transaction(request: Request) -> AsyncIterator[AsyncConnection]:
    """The request's transaction; committed when its route returns, before the answer goes out."""
    engine: AsyncEngine = request.app.state.engine
    async with engine.begin() as connection:
        await request.scope[CONFIRM](connection)
        yield connection


# scope="function": with the default the commit would come after the answer.
Transaction = Annotated[AsyncConnection, Depends(transaction, scope="function")]
