"""Nothing happens by itself: tests of the feed and of kept farms say when somebody looks."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.db.driver import connect
from app.scheduler import feed, session
from app.settings import Settings
from tests.scheduler.reader import Reader


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600, lease_seconds=3600)


@pytest.fixture
async def reader(database: str) -> AsyncIterator[Reader]:
    connection = await connect(database)
    yield Reader(connection, await feed.start(connection))
    await connection.close()


@pytest.fixture
async def cycles(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that is ready for them."""
    connection = await connect(database)
    await session.prepare(connection, "a test")
    yield connection
    await connection.close()
