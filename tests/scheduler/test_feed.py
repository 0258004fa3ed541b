"""The feed tells a reader everything that others committed, once, and nothing that is no change."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import pytest
from fastapi import FastAPI

from app.db.driver import connect
from app.scheduler import feed
from app.scheduler.kept import KeptFarm
from app.tokens.known import Known
from tests.farm import Farm
from tests.scheduler.kept_looks import all_equal, watching
from tests.scheduler.reader import NOTHING, Reader

SOON = 60  # seconds


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection."""
    connection = await connect(database)
    yield connection
    await connection.close()


async def age(connection: asyncpg.Connection) -> None:
    """As if what is kept had last been moved long ago."""
    await connection.execute(
        "UPDATE farm_changes_kept SET moved_at = moved_at - make_interval(secs => $1)",
        2 * feed.KEPT_SECONDS,
    )


async def forget(app: FastAPI) -> None:
    async with app.state.engine.begin() as connection:
        await feed.forget_old(connection)


async def changes(connection: asyncpg.Connection) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM farm_changes")
    return found


async def too_late(connection: asyncpg.Connection) -> None:
    """Whoever read before this moment has read too long ago."""
    await connection.execute("SELECT pg_current_xact_id()")
    await connection.execute(
        "UPDATE farm_changes_kept SET since = CAST(CAST(pg_current_xact_id() AS text) AS bigint)"
    )


# --- transactions that overlap ---


async def test_a_change_of_a_transaction_that_was_open_during_a_read_is_not_missed(
    farm: Farm, reader: Reader, other: asyncpg.Connection
) -> None:
    made = await farm.queue("/films")
    assert await reader.news() == ({made["id"]}, set(), set())
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE jobqueues SET weight = 3")
    late = await farm.queue("/later")
    assert await reader.news() == ({late["id"]}, set(), set())
    assert await reader.news() == NOTHING
    await transaction.commit()
    assert await reader.news() == ({made["id"]}, set(), set())
    assert await reader.news() == NOTHING


async def test_a_change_that_is_rolled_back_is_no_news(
    farm: Farm, reader: Reader, other: asyncpg.Connection
) -> None:
    await farm.queue("/films")
    await reader.news()
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE jobqueues SET weight = 3")
    await reader.news()
    await transaction.rollback()
    assert await reader.news() == NOTHING


async def test_of_a_savepoint_only_what_is_kept_is_news(
    farm: Farm, reader: Reader, other: asyncpg.Connection
) -> None:
    first, second = await farm.queue("/first"), await farm.queue("/second")
    await reader.news()
    async with other.transaction():
        async with other.transaction():
            await other.execute("UPDATE jobqueues SET weight = 3 WHERE id = $1", first["id"])
        inner = other.transaction()
        await inner.start()
        await other.execute("UPDATE jobqueues SET weight = 4 WHERE id = $1", second["id"])
        await inner.rollback()
    assert await reader.news() == ({first["id"]}, set(), set())


async def test_the_own_last_transaction_is_no_news_and_all_others_are(
    farm: Farm, reader: Reader, other: asyncpg.Connection
) -> None:
    mine, theirs = await farm.queue("/mine"), await farm.queue("/theirs")
    await reader.news()
    async with other.transaction():
        await other.execute("UPDATE jobqueues SET weight = 3 WHERE id = $1", mine["id"])
        own = await other.fetchval("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    await farm.set_queue("/theirs", weight=4)
    reader.seen = replace(reader.seen, own=own)
    assert await reader.news() == ({theirs["id"]}, set(), set())
    assert await reader.news() == NOTHING
    await farm.set_queue("/mine", weight=5)
    assert await reader.news() == ({mine["id"]}, set(), set())


# --- readers that are too late, and other reasons to read the whole farm ---


async def test_a_reader_that_is_too_late_is_told_so(farm: Farm, reader: Reader) -> None:
    await farm.queue("/films")
    await too_late(reader.connection)
    with pytest.raises(feed.Outdated):
        await reader.news()


async def test_a_reader_of_another_server_is_told_so(reader: Reader) -> None:
    reader.seen = replace(reader.seen, server="another " + reader.seen.server)
    with pytest.raises(feed.Outdated):
        await reader.news()


@pytest.mark.parametrize(
    "table", ["jobqueues", "jobs", "job_dependencies", "agents", "assignments", "tasks"]
)
async def test_who_empties_a_table_has_all_read_anew(
    farm: Farm, app: FastAPI, database: str, reader: Reader, table: str
) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    await farm.gets("a0")
    async with watching(database) as witness:
        await witness.connection.execute(f"TRUNCATE {table} CASCADE")
        with pytest.raises(feed.Outdated):
            await reader.news()
        assert await witness.is_outdated()
        if table in {"agents", "jobqueues", "jobs"}:
            await witness.connection.execute("TRUNCATE assignments, tasks")
        witness.kept = await witness.fresh()
        await all_equal(farm.client, app, witness)


async def test_a_service_that_is_too_late_reads_the_farm_and_goes_on(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    before = app.state.desk._cycles
    await farm.job("shot")
    async with watching(database) as witness:
        await too_late(witness.connection)
        assert await farm.gets("a0") == "shot"
        assert app.state.desk._cycles is not before
        witness.kept = await witness.fresh()
        await all_equal(farm.client, app, witness)


async def test_a_service_that_is_too_late_serves_those_that_wait_at_the_next_hint(
    farm: Farm, app: FastAPI, other: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.gets("a0", wait=60))
    while not app.state.desk.waiting:
        await asyncio.sleep(0.005)
    await too_late(other)
    await farm.job("shot")
    assert await asyncio.wait_for(poll, SOON) == "shot"


async def test_a_database_restored_on_a_server_that_counts_from_anew_is_served(
    farm: Farm, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump has the numbers of the transactions of the server on which it was made."""
    for hostname in ("a0", "reads the farm"):
        await farm.agent(hostname)
    await farm.job("shot", tasks=2)
    await farm.assign("reads the farm")
    await other.execute("UPDATE farm_changes_kept SET since = 10^12, next = 10^12")
    await other.execute("UPDATE farm_changes SET xid = xid + CAST(10^12 AS bigint)")
    loads = 0
    load = KeptFarm.load

    async def at_most_three(connection: asyncpg.Connection, known: Known) -> KeptFarm:
        nonlocal loads
        loads += 1
        if loads > 3:
            raise OSError("the farm is read again and again")
        return await load(connection, known)

    monkeypatch.setattr(KeptFarm, "load", at_most_three)
    assert await farm.gets("a0") == "shot"


# --- what is kept ---


async def test_what_a_reader_may_still_need_is_kept_and_the_rest_is_deleted(
    farm: Farm, app: FastAPI, reader: Reader, other: asyncpg.Connection
) -> None:
    queue = await farm.queue("/films")
    await age(other)
    await forget(app)
    assert await changes(other) > 0
    assert await reader.news() == ({queue["id"]}, set(), set())
    await forget(app)
    assert await changes(other) > 0  # too early
    await age(other)
    await forget(app)
    assert await changes(other) == 0
    assert await reader.news() == NOTHING  # it looked since the last time
    await age(other)
    await forget(app)
    await age(other)
    await forget(app)
    with pytest.raises(feed.Outdated):
        await reader.news()  # it did not look for two times that long


async def test_what_an_open_transaction_wrote_is_kept_until_it_is_over_and_read(
    farm: Farm, app: FastAPI, reader: Reader, other: asyncpg.Connection, database: str
) -> None:
    queue = await farm.queue("/films")
    long = await connect(database)
    transaction = long.transaction()
    await transaction.start()
    await long.execute("UPDATE jobqueues SET weight = 3")
    for _ in range(3):
        await reader.news()
        await age(other)
        await forget(app)
    await transaction.commit()
    await long.close()
    assert await reader.news() == ({queue["id"]}, set(), set())
