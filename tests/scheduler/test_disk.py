"""What agents are told is on the disk by then; where nobody can tell, they have to ask again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.types import Message

from app.db.driver import connect
from app.db.engine import driver_of, drop
from app.scheduler import disk
from app.scheduler.disk import Disk
from app.scheduler.polls import Poll, give
from app.scheduler.schemas import AssignRequest
from app.settings import Settings
from tests.farm import Farm
from tests.held import held_open
from tests.scheduler.kept_looks import all_equal, watching
from tests.tokens import ADMIN

SILENT = 20
SLOW = 0.7  # seconds; an answer that does not wait is there long before

# Waits as a slow disk would, then logs.
WAIT = f"SELECT pg_sleep({SLOW}); SELECT pg_logical_emit_message(true, 'farmqueue', '')"


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600, lease_seconds=3600)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_LOG", WAIT)


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database)
    yield connection
    await connection.close()


async def one_task(farm: Farm) -> None:
    await farm.agent("a0")
    await farm.job("shot")


async def held_in_the_database(other: asyncpg.Connection) -> bool:
    """Whether the assignment is committed."""
    return bool(await other.fetchval("SELECT EXISTS (SELECT FROM assignments)"))


async def committed(other: asyncpg.Connection) -> None:
    while not await held_in_the_database(other):
        await asyncio.sleep(0.01)


async def never() -> Message:
    raise AssertionError("nobody looks whether it is there")


async def closed(app: FastAPI) -> None:
    """The service has noticed."""
    while not (await driver_of(app.state.desk._disk._connection)).is_closed():
        await asyncio.sleep(0.01)


async def cut_the_disk(app: FastAPI, other: asyncpg.Connection) -> None:
    connection = await driver_of(app.state.desk._disk._connection)
    await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())


async def reports_and_waits(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Task[httpx.Response]:
    """A poll that is held open; what it reported is committed, and not on the disk yet."""
    await one_task(farm)
    held = await farm.assign("a0")
    assert held is not None
    monkeypatch.setattr(disk, "_LOG", WAIT)
    results = [{"task_id": held["tasks"][0]["id"], "state": "done"}]
    poll = asyncio.create_task(farm.ask("a0", wait=60, results=results))
    await held_open(app, 1)
    return poll


@pytest.mark.usefixtures("slow_disk")
async def test_work_is_told_of_once_it_is_on_the_disk(
    farm: Farm, other: asyncpg.Connection
) -> None:
    await one_task(farm)
    poll = asyncio.create_task(farm.gets("a0"))
    await committed(other)
    assert not poll.done()
    assert await poll == "shot"


@pytest.mark.usefixtures("slow_disk")
async def test_a_cycle_gives_work_while_the_last_one_is_on_its_way_to_the_disk(
    farm: Farm, other: asyncpg.Connection
) -> None:
    await farm.job("shot", tasks=2)
    for name in ("a0", "a1"):
        await farm.agent(name)
    first = asyncio.create_task(farm.gets("a0"))
    await committed(other)
    second = asyncio.create_task(farm.gets("a1"))
    while await other.fetchval("SELECT count(*) FROM assignments") < 2:
        assert not first.done()
        await asyncio.sleep(0.01)
    assert {await first, await second} == {"shot"}


async def test_a_poll_that_waits_is_not_sent_away_before_what_it_reported_is_on_the_disk(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = await reports_and_waits(farm, app, monkeypatch)
    app.state.desk.close()
    await asyncio.sleep(SLOW / 10)
    assert not poll.done()
    assert (await poll).status_code == 204


@pytest.mark.usefixtures("slow_disk")
async def test_who_cannot_be_told_that_it_is_kept_asks_again_and_has_it(
    farm: Farm, app: FastAPI, other: asyncpg.Connection, database: str
) -> None:
    await one_task(farm)
    poll = asyncio.create_task(farm.ask("a0"))
    await committed(other)
    await cut_the_disk(app, other)
    answer = await poll
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
    assert await farm.gets("a0") == "shot"
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)


async def test_a_poll_that_waits_hears_that_its_report_may_be_lost(
    farm: Farm, app: FastAPI, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = await reports_and_waits(farm, app, monkeypatch)
    await cut_the_disk(app, other)
    assert (await poll).status_code == 503
    assert app.state.desk.waiting == 0


async def test_only_a_connection_that_was_open_before_can_tell(
    farm: Farm, app: FastAPI, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One round is on its way when the connection is cut, the next one was committed meanwhile."""
    for name in ("a0", "a1"):
        await farm.agent(name)
        assert await farm.gets(name) is None
    await farm.job("shot", tasks=2)
    monkeypatch.setattr(disk, "_LOG", WAIT)
    polls: list[asyncio.Task[Any]] = []
    for place, name in enumerate(("a0", "a1")):
        polls.append(asyncio.create_task(farm.ask(name)))
        while await other.fetchval("SELECT count(*) FROM assignments") <= place:
            await asyncio.sleep(0.01)
    await cut_the_disk(app, other)
    assert {(await poll).status_code for poll in polls} == {503}


async def test_a_connection_that_is_opened_later_tells_nothing_of_what_was_committed_before(
    app: FastAPI, other: asyncpg.Connection
) -> None:
    """It may be to a server that came back without it."""
    disk = Disk(app.state.engine, SILENT)
    await disk.ready(other)
    waits = disk.reached()
    assert disk._connection is not None
    driver = await driver_of(disk._connection)
    await other.execute("SELECT pg_terminate_backend($1)", driver.get_server_pid())
    while not driver.is_closed():
        await asyncio.sleep(0.01)
    assert not await disk.stands()
    for one in (waits, disk.reached()):
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(one, SILENT)
    await disk.ready(other)
    assert await disk.stands()
    await drop(disk._connection)


async def test_a_new_connection_of_cycles_waits_for_the_wait_that_is_on_its_way(
    app: FastAPI, database: str, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(app.state.engine, SILENT)
    running = asyncio.create_task(disk.run())
    await disk.ready(other)
    before = disk._connection
    monkeypatch.setattr("app.scheduler.disk._LOG", WAIT)
    waits = [disk.reached()]
    await asyncio.sleep(SLOW / 4)
    waits.append(disk.reached())
    another = await connect(database)
    await disk.ready(another)
    await asyncio.wait_for(asyncio.gather(*waits), SILENT)
    assert disk._connection is before
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await another.close()


async def test_cycles_commit_on_no_other_server_than_the_wait_is_of(
    farm: Farm, app: FastAPI, other: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover a service may reach both, the former one and the new one."""
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    await farm.job("shot")
    desk = app.state.desk
    former = desk._connection
    with monkeypatch.context() as failed_over:
        failed_over.setattr("app.scheduler.disk.server_of", id)
        await cut_the_disk(app, other)
        await closed(app)
        assert (await farm.ask("a0")).status_code == 503
        assert desk._connection is None
    assert not await held_in_the_database(other)
    assert await farm.gets("a0") == "shot"
    assert desk._connection is not former


async def test_a_lost_wait_ends_the_connection_of_cycles_too(
    farm: Farm, app: FastAPI, other: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    former = app.state.desk._connection
    await cut_the_disk(app, other)
    await closed(app)
    assert await farm.gets("a0") is None
    assert app.state.desk._connection is not former


async def test_a_wait_that_is_lost_is_counted(
    farm: Farm, app: FastAPI, other: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    before = times_lost()
    await cut_the_disk(app, other)
    await closed(app)
    await farm.ask("a0")
    assert times_lost() == before + 1


def times_lost() -> float:
    lost = REGISTRY.get_sample_value("farmqueue_disk_lost_total")
    assert lost is not None
    return lost


async def test_a_wait_that_cannot_be_opened_costs_no_reading_of_the_farm(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    kept = app.state.desk.kept

    async def fails(*_: object) -> None:
        raise OSError("too many connections")

    with monkeypatch.context() as full:
        full.setattr(Disk, "ready", fails)
        assert {(await farm.ask("a0")).status_code for _ in range(2)} == {503}
    assert app.state.desk.kept is kept


async def test_nobody_is_sent_away_in_peace_whose_report_may_be_lost() -> None:
    """Whoever tells of the failure comes after the poll's time was over."""
    loop = asyncio.get_running_loop()
    disk: asyncio.Future[None] = loop.create_future()
    poll = Poll(AssignRequest(agent_id=uuid4()), ADMIN, never, disk=disk)
    disk.add_done_callback(lambda failed: give(poll.answer, failed.exception()))
    disk.set_exception(ConnectionError("lost"))
    poll.give(None)
    with pytest.raises(ConnectionError):
        await poll.answer


async def test_a_connection_that_was_lost_while_nobody_asked_fails_nobody(
    farm: Farm, app: FastAPI, other: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    await farm.job("shot")
    await cut_the_disk(app, other)
    await closed(app)
    assert await farm.gets("a0") == "shot"


SET_BY = "SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'"

SEEN = f"""
CREATE TABLE seen AS {SET_BY} LIMIT 0;
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO seen {SET_BY}; RETURN NULL; END $$;
CREATE TRIGGER see AFTER UPDATE ON agents EXECUTE FUNCTION see();
"""


async def test_only_cycles_do_not_wait_for_the_disk_themselves(
    farm: Farm, app: FastAPI, other: asyncpg.Connection
) -> None:
    """And only within: the same session, and all others, commit as the server is set up."""
    await farm.agent("a0")
    await other.execute(SEEN)
    await farm.ask("a0")
    assert [tuple(row) for row in await other.fetch("TABLE seen")] == [("off", "session")]
    desk = app.state.desk
    for connection in (desk._connection, desk._disk._connection):
        assert (await (await driver_of(connection)).fetchrow(SET_BY))["source"] != "session"
