"""Two transactions wait for each other, and the server ends ours: no client hears of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import httpx
import pytest

from app.again import TIMES
from app.db.driver import FARM_LOCK, connect
from tests.farm import Farm

WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

Asks = Callable[[Farm], Awaitable[httpx.Response]]


@pytest.fixture
async def psql(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database)
    yield connection
    await connection.close()


async def until_blocked(database: str) -> None:
    """Until somebody waits for a lock."""
    watcher = await connect(database)
    while not await watcher.fetchval(WAITS):
        await asyncio.sleep(0.01)
    await watcher.close()


async def change_job(farm: Farm) -> httpx.Response:
    return await farm.client.patch(f"/jobs/{farm.jobs['shot']}", json={"priority": 7})


async def poll(farm: Farm) -> httpx.Response:
    return await farm.ask("a0")


async def beat_after_silence(farm: Farm) -> httpx.Response:
    return await farm.client.post(f"/agents/{farm.agents['a0']}/heartbeat", json={})


@pytest.mark.parametrize(
    ("rows", "asks"),
    [("jobs", change_job), ("job_progress", poll), ("agents", beat_after_silence)],
)
async def test_a_call_that_is_ended_by_a_deadlock_is_served_again(
    farm: Farm, psql: asyncpg.Connection, database: str, rows: str, asks: Asks
) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    if rows == "agents":
        await psql.execute("UPDATE agents SET online = false")
    async with psql.transaction():
        await psql.execute(f"SELECT FROM {rows} FOR UPDATE")
        call = asyncio.ensure_future(asks(farm))
        await until_blocked(database)  # it holds the farm lock by now
        await psql.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
    assert (await call).status_code == 200
    ended = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    while not await psql.fetchval(ended):
        await asyncio.sleep(0.05)
        await psql.execute("SELECT pg_stat_clear_snapshot()")


async def test_a_call_that_clashes_every_time_is_a_503_at_last(
    farm: Farm, psql: asyncpg.Connection
) -> None:
    await farm.job("shot")
    await psql.execute("""
        CREATE SEQUENCE tries;
        CREATE FUNCTION clash() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM nextval('tries');
            RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
        END $$;
        CREATE TRIGGER clash BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION clash();
    """)
    answer = await change_job(farm)
    assert answer.status_code == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert await psql.fetchval("SELECT last_value FROM tries") == TIMES
