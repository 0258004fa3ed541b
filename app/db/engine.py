"""Connections: one request, one transaction."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.db import schema
from app.db.hosts import Hosts
from app.settings import Settings

# One number for the whole farm: whoever changes what may run, or who holds what, holds this lock.
FARM_LOCK = 0x6661726D  # "farm"

# Who clears many rows that nobody else touches does it before it asks for the farm lock.
CLEANING_LOCK = 0x636C6561  # "clea"

# What the driver raises where the database is away; the last is of a connection that is cut between
# two statements, and of hosts that take no writes.
AWAY = (
    *(OSError, TimeoutError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
)

# Where triggers tell every service that the farm changed, with the name of who changed it.
CHANNEL = "farmqueue"

# Where a request's scope has what makes sure, in its transaction, that its token is valid still.
CONFIRM = "farmqueue.confirm"

# Of a connection that says nothing: after 10 s it is asked, three times; what was sent is
# acknowledged within as long. Seconds, the last one in milliseconds.
_SILENCE = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 15_000,
}

_LOCK = text(f"SELECT {schema.TOLD}, pg_advisory_xact_lock(:key)")


def create_engine(settings: Settings, url: str) -> AsyncEngine:
    """An engine whose statements give up on a lock after `lock_timeout_seconds`."""
    lock_timeout = f"{int(settings.lock_timeout_seconds * 1000)}ms"

    async def open_connection() -> asyncpg.Connection:
        return await connect(
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

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        pool_size=settings.pool_size,
        max_overflow=0,
        hide_parameters=True,  # an error is logged, what somebody sent is not
        pool_timeout=settings.lock_timeout_seconds,
        pool_pre_ping=True,
        pool_use_lifo=True,  # the one whose statements are prepared already
    )


async def connect(url: str, *, timeout: float = 10, **options: Any) -> asyncpg.Connection:  # noqa: ASYNC109
    """A connection of the driver's own, which reads sslmode and the like.

    Of several hosts each is tried for a part of the time, the one that was heard last first. The
    driver has one time for all: a machine that answers nothing would use it up.
    """
    hosts = Hosts.of(url.replace("postgresql+asyncpg://", "postgresql://", 1))
    for left in reversed(range(len(hosts.urls))):
        at = hosts.first
        try:
            found = await asyncpg.connect(
                hosts.urls[at], timeout=timeout / len(hosts.urls), **options
            )
        except BaseException as failed:
            hosts.pass_by(at)  # also where who asked has no more patience
            if not left or not isinstance(failed, AWAY):
                raise
        else:
            notice_silence(found._transport)  # noqa: SLF001  # no other way to its socket
            return found
    raise AssertionError("there is always a host")


def notice_silence(transport: asyncio.BaseTransport) -> None:
    """Have the kernel end the connection where the other machine is gone without a word.

    Else it would try again for a quarter of an hour, and whoever takes the connection with it.
    """
    where = transport.get_extra_info("socket")
    if where is None or where.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    where.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        if hasattr(socket, name):  # not every system has each of them
            where.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """The driver's connection below, for statements that every agent waits for."""
    return (await connection.get_raw_connection()).driver_connection


async def lock_farm(connection: AsyncConnection) -> None:
    """Wait for the farm-wide lock, held until the transaction ends.

    A statement of its own: one that locks and reads sees the state from before the lock. Raises
    `Unavailable` where the schema is not the one that this code knows.
    """
    schema.check(await connection.scalar(_LOCK, {"key": FARM_LOCK}))


async def lock_cleaning(connection: AsyncConnection) -> None:
    """Let one clearing of old rows at a time go before the farm lock, so that no two meet there."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CLEANING_LOCK})


async def transaction(request: Request) -> AsyncIterator[AsyncConnection]:
    """The request's transaction; committed when its route returns, before the answer goes out."""
    engine: AsyncEngine = request.app.state.engine
    async with engine.begin() as connection:
        await request.scope[CONFIRM](connection)
        yield connection


# scope="function": with the default the commit would come after the answer.
Transaction = Annotated[AsyncConnection, Depends(transaction, scope="function")]
