"""A cycle that fails has given nothing: neither in the database nor in the memory of the desk."""

import asyncio
from collections.abc import AsyncIterator
from itertools import product
from types import ModuleType
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.db.driver import FARM_LOCK, connect
from app.scheduler import session, store
from app.settings import Settings
from tests.farm import Farm
from tests.scheduler.kept_looks import all_equal, watching

SOON = 60  # seconds

Where = tuple[ModuleType, str]  # a function that sends a statement


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600, lock_timeout_seconds=0.5)


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's connection."""
    connection = await connect(database)
    yield connection
    await connection.close()


async def three_agents(farm: Farm) -> None:
    """One has work and two ask, of which one may have some."""
    await farm.queue("/films", maximum_agents=2)
    await farm.job("shot", tasks=5, queue="/films", requeue=-1)
    for number in range(3):
        await farm.agent(f"a{number}")
    assert await farm.gets("a0") == "shot"


def expects(app: FastAPI, where: Where) -> None:
    """Have the next cycle come to it: it writes apart where something new is to be expected."""
    if where in {(session, "begin"), (session, "write")}:
        app.state.desk._cycles.expect_news()


async def refused(farm: Farm) -> None:
    """Calls of all three fail: a report, and two polls."""
    calls = farm.report("a0", "failed"), farm.ask("a1"), farm.ask("a2")
    for answer in await asyncio.gather(*calls):
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text


async def nothing_came_of_it(farm: Farm, app: FastAPI, database: str) -> None:
    """The agent still has its work, the others nothing; all is as if nobody had called."""
    job = await farm.see_job("shot")
    assert (job["assigned_agents"], job["tasks"]["waiting"]) == (1, 4)
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)
        given = [await farm.assign(f"a{number}") for number in range(3)]
        firsts = [one and one["tasks"][0]["frame"] for one in given]
        assert firsts == [1, 2, None]
        await farm.fail("a0")
        assert await farm.gets("a2") == "shot"
        await all_equal(farm.client, app, witness)


@pytest.mark.parametrize(
    ("when", "where"),
    [
        *product(["before", "after"], [(store, "failures"), (store, "told")]),
        *product(["before"], [(session, "write"), (session, "write_unless_news")]),
    ],
)
async def test_a_cycle_that_fails_at_a_statement_gives_nothing(
    farm: Farm,
    app: FastAPI,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    where: Where,
) -> None:
    await three_agents(farm)
    app.state.desk._cycles.kept.told.clear()
    expects(app, where)
    works = getattr(*where)

    async def fails(*arguments: Any) -> None:
        if when == "after":
            await works(*arguments)
        raise OSError("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(*where, fails)
        if where != (store, "failures"):
            assert (await farm.ask("a1")).status_code == 503
        else:
            assert (await farm.report("a0", "failed")).status_code == 503
    await nothing_came_of_it(farm, app, database)


async def test_a_cycle_whose_commit_is_refused_gives_nothing(
    farm: Farm, app: FastAPI, database: str, other: asyncpg.Connection
) -> None:
    await three_agents(farm)
    await other.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'try again' USING ERRCODE = '40001'; END $$;
        CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON agents DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse();
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON assignments
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
    """)
    await refused(farm)
    await other.execute("DROP FUNCTION refuse CASCADE")
    await nothing_came_of_it(farm, app, database)


@pytest.mark.parametrize("where", [(session, "begin"), (store, "told")])
async def test_a_cycle_whose_connection_is_cut_gives_nothing(
    farm: Farm,
    app: FastAPI,
    database: str,
    other: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    where: Where,
) -> None:
    await three_agents(farm)
    app.state.desk._cycles.kept.told.clear()
    expects(app, where)
    works = getattr(*where)

    async def is_cut(connection: asyncpg.Connection, *arguments: Any) -> Any:
        found = await works(connection, *arguments)
        await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        return found

    with monkeypatch.context() as broken:
        broken.setattr(*where, is_cut)
        answer = await farm.ask("a1")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
    await nothing_came_of_it(farm, app, database)


@pytest.mark.parametrize("where", [(session, "write"), (session, "write_unless_news")])
async def test_a_cycle_that_fails_once_it_is_written_stands(
    farm: Farm, app: FastAPI, database: str, monkeypatch: pytest.MonkeyPatch, where: Where
) -> None:
    """Nobody was told, nobody guesses: the farm is read anew, and who asks again is told."""
    await three_agents(farm)
    expects(app, where)
    writes = getattr(*where)

    async def is_lost(*arguments: Any) -> None:
        await writes(*arguments)
        raise OSError("the answer was lost")

    with monkeypatch.context() as broken:
        broken.setattr(*where, is_lost)
        assert (await farm.ask("a1")).status_code == 503
    assert (await farm.see_job("shot"))["assigned_agents"] == 2
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)
        again = await farm.assign("a1")
        assert (again and again["tasks"][0]["attempt"], await farm.gets("a2")) == (1, None)
        await all_equal(farm.client, app, witness)


# --- locks ---


@pytest.mark.parametrize("first", [(session, "begin"), (session, "write_unless_news")])
async def test_whoever_holds_the_farm_lock_for_long_has_agents_ask_again(
    farm: Farm, app: FastAPI, database: str, other: asyncpg.Connection, first: Where
) -> None:
    await three_agents(farm)
    kept = app.state.desk.kept
    expects(app, first)
    async with other.transaction():
        await other.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
        await refused(farm)
    assert app.state.desk.kept is kept
    await nothing_came_of_it(farm, app, database)


async def test_an_agent_that_comes_back_while_somebody_holds_it_is_away_as_before(
    farm: Farm, app: FastAPI, database: str, other: asyncpg.Connection
) -> None:
    await three_agents(farm)
    await farm.set_queue("/films", maximum_agents=1)
    await farm.set_agent("a1", state="offline")
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)
        async with other.transaction():
            await other.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
            assert (await farm.ask("a1", free_ram=77)).status_code == 503
        await all_equal(farm.client, app, witness)
        assert await farm.gets("a1") is None


async def test_whoever_locks_a_row_that_a_cycle_writes_has_agents_ask_again(
    farm: Farm, app: FastAPI, database: str, other: asyncpg.Connection
) -> None:
    await three_agents(farm)
    async with other.transaction():
        await other.execute("SELECT FROM job_progress FOR UPDATE")
        answer = await farm.ask("a1")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
    await nothing_came_of_it(farm, app, database)


# --- an idle desk ---


async def cut_all(other: asyncpg.Connection) -> None:
    """As a server does that begins anew."""
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'farmqueue'"
    )


async def test_a_desk_that_lost_its_connection_takes_another(
    farm: Farm, app: FastAPI, database: str, other: asyncpg.Connection
) -> None:
    await three_agents(farm)
    await cut_all(other)
    answers = [await farm.ask("a1") for _ in range(2)]
    assert answers[0].status_code in {200, 503}
    assert answers[1].status_code == 200
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)


async def test_who_waits_at_a_desk_that_lost_its_connection_gets_work_at_the_fall_back(
    client: httpx.AsyncClient, farm: Farm, app: FastAPI, other: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.gets("a0", wait=60))
    while not app.state.desk.waiting:
        await asyncio.sleep(0.005)
    await cut_all(other)
    answer = await client.post("/jobs", json={"title": "shot", "start": 1, "end": 1})
    assert answer.status_code == 201
    for _ in range(2):  # the first finds that the connection is gone
        app.state.desk.stir()
        await asyncio.sleep(0.2)
    assert await asyncio.wait_for(poll, SOON) == "shot"
