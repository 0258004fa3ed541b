"""Services are killed, cut off, and told to stop."""

import asyncio
import time

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from app.db.driver import FARM_LOCK
from app.db.engine import create_engine
from app.settings import Settings
from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.stage import Maker, Replica, Stage
from tests.chaos.test_database import at_work
from tests.chaos.test_first_five import done, enlist, finish

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

END_SECONDS = 10
WAIT = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
HOLDS_AND_WAITS = """
SELECT count(*) AS n FROM pg_locks h JOIN pg_locks w USING (pid)
WHERE h.locktype = 'advisory' AND h.granted AND NOT w.granted
"""
GONE_SECONDS = 40  # by far less than a session may be idle otherwise
CLIENT_KEEPS_SECONDS = 5
BEGUN = 3  # a cycle, of the poll and the report, and two edits


async def test_agents_go_on_where_a_service_is_killed_at_random(stage: Maker) -> None:
    async with stage() as on, at_work(on):
        for _ in range(2):
            await asyncio.sleep(on.chance.uniform(0.3, 1.5))
            # The operator's own client talks to the first one: by then it is back.
            victim = on.chance.choice(on.replicas)
            victim.kill()
            await asyncio.sleep(on.chance.uniform(0, 1))
            await victim.start()


async def test_a_service_cut_off_from_the_database_is_not_ready_and_grants_nothing(
    stage: Maker,
) -> None:
    async with stage() as on:
        lost, well = on.replicas
        first, second = ids = await enlist(on, 2)
        lost.database.hole()
        await on.postgres.fetch("SELECT 1")
        async with client(lost.door_url, timeout=3) as one, client(well.door_url) as two:
            body = {"title": "shot", "frames": "1-2"}
            assert (await on.ledger.post(two, "/jobs", body)).status == 201
            assert not await on.ready(lost)
            assert await on.ready(well)
            nothing = await on.ledger.post(one, "/assign", {"agent_id": first})
            assert not nothing.accepted
            given = await on.ledger.post(two, "/assign", {"agent_id": second, "wait": 20})
            assert given.status == 200
        assert len(await invariants.made(on, "assignment.made")) == 1
        on.heal()
        await on.until_ready()
        await finish(on, ids)
        await invariants.hold(on)


async def has_the_lock_and_waits(on: Stage) -> bool:
    """Whether a service holds the farm lock, and waits for another one."""
    [found] = await on.postgres.fetch(HOLDS_AND_WAITS)
    return bool(found["n"])


@pytest.mark.parametrize(
    ("state", "lock"),
    [
        ("done", "assignments IN SHARE MODE"),  # while it writes
        ("failed", "tasks IN ACCESS EXCLUSIVE MODE"),  # while it reads what it has to know first
    ],
)
async def test_a_service_that_is_gone_in_the_middle_of_a_cycle_holds_the_others_up_for_seconds(
    stage: Maker, state: str, lock: str
) -> None:
    """It holds the farm lock, and no word of its end comes: its machine lost its power."""
    async with stage(lock_timeout_seconds=5, lease_seconds=300) as on:
        lost, well = on.replicas
        first, second = ids = await enlist(on, 2)
        await on.farm.job("shot", tasks=4, requeue=-1)
        locker = await asyncpg.connect(on.postgres.url)
        async with client(lost.door_url) as one, client(well.door_url) as two:
            poll = {"agent_id": first, "wait": 60}
            for said in ("failed", state):  # its statements are prepared by then
                held = (await on.ledger.post(one, "/assign", poll)).answer
                assert held is not None
                results = [{**result, "state": said} for result in done(held)]
                poll = poll | {"assignment_id": held["id"], "results": results}
            async with locker.transaction():
                await locker.execute(f"LOCK TABLE {lock}")
                asking = asyncio.create_task(on.ledger.post(one, "/assign", poll))
                while not await has_the_lock_and_waits(on):
                    await asyncio.sleep(0.02)
                lost.database.hole()
            since = time.monotonic()
            body = {"agent_id": second, "wait": 20}
            while (await on.ledger.post(two, "/assign", body)).status != httpx.codes.OK:
                assert time.monotonic() - since < GONE_SECONDS
            assert time.monotonic() - since < GONE_SECONDS
            on.heal()
            await asking
        await locker.close()
        await on.until_ready()
        await finish(on, ids)
        await invariants.hold(on)


async def test_a_connection_is_there_for_longer_than_a_client_or_a_thrifty_proxy_keeps_it(
    stage: Maker,
) -> None:
    """Else a call would now and then be sent into one that just then ends, and get no answer."""
    async with stage(replicas=1) as on:
        reader, writer = await asyncio.open_connection("127.0.0.1", on.replicas[0].port)
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: farm\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            [length] = [line for line in head.split(b"\r\n") if line.startswith(b"content-length")]
            await reader.readexactly(int(length.partition(b":")[2]))
            await asyncio.sleep(CLIENT_KEEPS_SECONDS + 1)
        writer.close()


async def test_the_server_asks_whether_a_machine_is_there(stage: Maker) -> None:
    """Whatever its session was doing: else its locks would stay for as long as TCP is patient."""
    async with stage(replicas=1) as on:
        engine = create_engine(Settings(), on.postgres.url)
        async with engine.connect() as connection:
            told = {
                name: await connection.scalar(text(f"SHOW {name}"))
                for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout")
            }
        await engine.dispose()
        assert told == {
            "tcp_keepalives_idle": "10",
            "tcp_keepalives_interval": "5",
            "tcp_user_timeout": "15000",
        }


async def waits_for_the_lock(on: Stage) -> int:
    [found] = await on.postgres.fetch(WAIT)
    return int(found["n"])


async def takes_no_more(replica: Replica) -> None:
    """Until nobody new is let in, as those are who come once it was told to stop."""
    async with client(replica.url) as http:
        while True:
            try:
                await http.get("/healthz", headers={"connection": "close"})
            except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                return
            await asyncio.sleep(0.02)


async def test_a_service_told_to_stop_finishes_what_it_has_begun(stage: Maker) -> None:
    """Each call is in the middle of its transaction, or behind one that is, when the word comes."""
    async with stage(lock_timeout_seconds=30) as on:
        ids = await enlist(on, 3)
        queue = (await on.farm.queue("/films"))["id"]
        await on.farm.job("shot", tasks=40)
        stopping = on.replicas[1]
        async with client(stopping.door_url) as http:
            held = (await on.ledger.post(http, "/assign", {"agent_id": ids[0]})).answer
            assert held is not None
            locker = await asyncpg.connect(on.postgres.url)
            async with locker.transaction():
                await locker.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
                report = f"/assignments/{held['id']}/results", {"results": done(held)}
                calls = [
                    asyncio.create_task(on.ledger.post(http, path, body))
                    for path, body in (
                        report,
                        ("/assign", {"agent_id": ids[1], "wait": 60}),
                        ("/agents", {"hostname": "late"}),
                        ("/jobqueues", {"name": "late", "parent_jobqueue_id": queue}),
                    )
                ]
                while await waits_for_the_lock(on) < BEGUN:
                    await asyncio.sleep(0.02)
                ending = asyncio.create_task(stopping.end())
                await takes_no_more(stopping)
                assert not any(call.done() for call in calls)
            since = time.monotonic()
            told = await asyncio.gather(*calls)
            assert [call.status for call in told] == [200, 200, 201, 201]
            assert await ending == 0
            assert time.monotonic() - since < END_SECONDS
            await locker.close()
        await finish(on, ids, on.urls[:1])
        await invariants.hold(on)


async def test_a_service_told_to_stop_answers_who_waits_and_ends_in_time(stage: Maker) -> None:
    async with stage() as on:
        ids = await enlist(on, 20)
        stopping = on.replicas[1]
        async with client(stopping.door_url) as http:
            asks = [{"agent_id": agent, "wait": 60} for agent in ids]
            polls = [asyncio.create_task(on.ledger.post(http, "/assign", ask)) for ask in asks]
            while await on.metric(stopping, "farmqueue_waiting_polls") < len(ids):
                await asyncio.sleep(0.05)
            since = time.monotonic()
            code = await stopping.end()
            assert time.monotonic() - since < END_SECONDS
            assert {(await poll).status for poll in polls} == {204}
        assert code == 0
        await on.farm.job("shot", tasks=40)
        await finish(on, ids, on.urls[:1])
        await invariants.hold(on)
