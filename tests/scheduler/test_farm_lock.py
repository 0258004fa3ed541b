"""The farm lock of a cycle: from its first message to the commit of its second, whatever comes."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.db.driver import FARM_LOCK, connect
from app.scheduler import feed, session
from tests.farm import Farm

TRIED = f"SELECT pg_try_advisory_lock({FARM_LOCK})"


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database)
    yield connection
    await connection.close()


async def test_it_is_held_from_the_first_message_until_the_second_commits(
    cycles: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await session.begin(cycles, await feed.start(cycles))
    assert not await other.fetchval(TRIED)
    await session.write(cycles, session.Written())
    assert await other.fetchval(TRIED)


async def test_it_is_held_while_the_second_is_not_committed(
    cycles: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await session.begin(cycles, await feed.start(cycles))
    async with cycles.transaction():
        await session.write(cycles, session.Written())
        assert not await other.fetchval(TRIED)
    assert await other.fetchval(TRIED)


async def test_whoever_leaves_has_given_it_up(
    cycles: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await session.begin(cycles, await feed.start(cycles))
    await session.leave(cycles)
    assert await other.fetchval(TRIED)
    assert await cycles.fetchval("SHOW idle_session_timeout") == "0"


@pytest.mark.parametrize("patience", ["the server's", "the service's"])
async def test_a_beginning_that_fails_leaves_nothing_of_it(
    cycles: asyncpg.Connection, other: asyncpg.Connection, patience: str
) -> None:
    """Else the machine that cannot give it up any more would hold it for as long as it is there."""
    seen = await feed.start(cycles)
    if patience == "the server's":
        await cycles.execute("SET lock_timeout = '200ms'")
    locker = other.transaction()
    await locker.start()
    await other.execute("LOCK farm_changes")
    with pytest.raises((asyncpg.LockNotAvailableError, TimeoutError)):
        async with asyncio.timeout(5 if patience == "the server's" else 0.2):
            await session.begin(cycles, seen)
    await cycles.execute("SELECT")  # its turn comes when the server has heard of it
    assert await other.fetchval(TRIED)
    await locker.rollback()


async def test_a_write_that_fails_and_is_left_gives_it_up(
    farm: Farm, cycles: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    job = (await farm.job("shot"))["id"]
    await session.begin(cycles, await feed.start(cycles))
    with pytest.raises(asyncpg.PostgresError):
        await session.write(cycles, session.Written(jobs=[(job, 99, 0, "{}", "{}")]))
    await session.leave(cycles)
    assert await other.fetchval(TRIED)


async def test_nothing_is_written_by_a_session_that_does_not_hold_it(
    cycles: asyncpg.Connection,
) -> None:
    with pytest.raises(asyncpg.RaiseError, match="does not hold the farm lock"):
        await session.write(cycles, session.Written())


async def test_the_server_throws_out_only_who_holds_it_and_is_silent(
    cycles: asyncpg.Connection,
) -> None:
    assert await cycles.fetchval("SHOW idle_session_timeout") == "0"
    await session.begin(cycles, await feed.start(cycles))
    assert await cycles.fetchval("SHOW idle_session_timeout") == "10s"
    await session.write(cycles, session.Written())
    assert await cycles.fetchval("SHOW idle_session_timeout") == "0"


async def test_a_cycle_sees_what_was_done_while_it_waited_for_the_lock(
    cycles: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    seen = await feed.start(cycles)
    await other.execute(f"SELECT pg_advisory_lock({FARM_LOCK})")
    beginning = asyncio.create_task(session.begin(cycles, seen))
    await asyncio.sleep(0.2)
    queue = await other.fetchval(
        "INSERT INTO jobqueues (name, fullpath) VALUES ('films', '/films') RETURNING id"
    )
    assert not beginning.done()
    await other.execute(f"SELECT pg_advisory_unlock({FARM_LOCK})")
    assert feed.news(await beginning, seen).queues == [queue]
