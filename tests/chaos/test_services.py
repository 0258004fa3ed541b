"""Services are killed, cut off, and told to stop."""

import asyncio
import time

import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.stage import Maker
from tests.chaos.test_database import at_work
from tests.chaos.test_first_five import enlist, finish

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

END_SECONDS = 10


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
