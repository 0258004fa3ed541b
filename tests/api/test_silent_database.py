"""A database that says nothing more holds nobody up for long."""

import asyncio
import socket

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.driver import notice_silence
from app.db.engine import create_engine
from app.settings import Settings


class Impatient(Settings):
    @property
    def silent_seconds(self) -> float:
        return 0.5


@pytest.fixture
def engine(database: str) -> AsyncEngine:
    return create_engine(Impatient(pool_size=3), database)


async def test_a_statement_that_is_never_answered_is_given_up_and_its_connection_with_it(
    engine: AsyncEngine,
) -> None:
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with engine.begin() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))
    async with engine.begin() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_the_kernel_ends_a_connection_whose_other_machine_is_gone() -> None:
    """Where nothing is sent it asks, where something is it waits for no more than 15 s."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as somewhere:
        transport, _ = await loop.create_connection(asyncio.Protocol, *somewhere.getsockname())
        notice_silence(transport)
        of = transport.get_extra_info("socket")
        asks = of.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        waits = of.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        transport.close()
    assert (asks, waits) == (1, 15_000)
