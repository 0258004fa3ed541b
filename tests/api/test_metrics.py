"""What /metrics says, and that it says it without being in the way."""

import asyncio
import re
from time import perf_counter

import httpx
import pytest
from fastapi import FastAPI

from app import metrics
from app.main import create_app
from app.scheduler.figures import AT_A_TIME, QueueFigures
from app.settings import Settings
from tests.conftest import execute
from tests.farm import Farm
from tests.tokens import AUTH


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600)


async def shown(farm: Farm) -> dict[str, float]:
    """Each sample by its name with its labels."""
    text = (await farm.client.get("/metrics")).text
    return {
        name: float(value)
        for name, value in re.findall(r"^([^#\s]\S*(?:\{.*\})?) (\S+)$", text, re.MULTILINE)
    }


async def more(farm: Farm, before: dict[str, float], name: str) -> float:
    return (await shown(farm)).get(name, 0) - before.get(name, 0)


async def test_tries_of_polls_are_measured_by_what_came_of_them(farm: Farm) -> None:
    await farm.job("shot")
    for hostname in ("works", "idle", "disabled"):
        await farm.agent(hostname)
    await farm.set_agent("disabled", state="disabled")
    before = await shown(farm)
    assert await farm.gets("works") == "shot"
    assert await farm.gets("idle") is None
    await farm.ask("disabled")
    for outcome in ("assigned", "nothing", "refused"):
        for name in ("farmqueue_polls_total", "farmqueue_assign_seconds_count"):
            assert await more(farm, before, f'{name}{{outcome="{outcome}"}}') == 1, (name, outcome)
    assert await more(farm, before, "farmqueue_cycle_polls_sum") == 3
    assert await more(farm, before, "farmqueue_cycle_grants_sum") == 1


async def test_the_time_that_a_poll_waits_for_work_is_not_of_the_service(farm: Farm) -> None:
    await farm.agent("a0")
    began = perf_counter()
    poll = asyncio.create_task(farm.gets("a0", wait=60))
    while (await shown(farm))["farmqueue_waiting_polls"] == 0:
        await asyncio.sleep(0.01)
    before = await shown(farm)
    await asyncio.sleep(0.5)
    await farm.job("shot")
    assert await poll == "shot"
    waited = perf_counter() - began
    in_hand = await more(farm, before, 'farmqueue_assign_seconds_sum{outcome="assigned"}')
    assert 0 < in_hand < waited - 0.4
    assert await more(farm, before, 'farmqueue_assign_seconds_count{outcome="assigned"}') == 1


async def test_each_queue_shows_its_agents_its_limits_and_what_waits(farm: Farm) -> None:
    await farm.queue("/films", maximum_agents=5)
    await farm.queue('/films/he"ro', minimum_agents=2)
    await farm.job("shot", tasks=10, queue='/films/he"ro', batch=3)
    await farm.agent("a0")
    assert await farm.gets("a0") == "shot"
    found = {name: value for name, value in (await shown(farm)).items() if "_queue_" in name}
    films, hero = '{queue="/films"}', '{queue="/films/he\\"ro"}'
    assert found == {
        f"farmqueue_queue_assigned{films}": 1,
        f"farmqueue_queue_assigned{hero}": 1,
        f"farmqueue_queue_minimum{hero}": 2,
        f"farmqueue_queue_maximum{films}": 5,
        f"farmqueue_queue_waiting_tasks{films}": 7,
        f"farmqueue_queue_waiting_tasks{hero}": 7,
        f"farmqueue_queue_below_minimum_seconds_total{hero}": 0,
    }


async def test_a_queue_below_its_minimum_counts_the_seconds_while_work_waits(
    app: FastAPI, farm: Farm
) -> None:
    await farm.queue("/films", minimum_agents=1)
    await farm.queue("/films/hero")
    figures: QueueFigures = app.state.figures
    name = 'farmqueue_queue_below_minimum_seconds_total{queue="/films"}'
    await farm.agent("a0")
    await farm.gets("a0")
    await figures.look(5)
    assert (await shown(farm))[name] == 0
    await farm.job("shot", tasks=2, queue="/films/hero")
    await farm.agent("idle", cpus=0)
    await farm.gets("idle")  # so that the desk hears of the job
    await figures.look(5)
    await figures.look(2.5)
    assert (await shown(farm))[name] == 7.5
    assert await farm.gets("a0") == "shot"
    await figures.look(5)
    assert (await shown(farm))[name] == 7.5


async def test_a_queue_that_is_renamed_or_gone_shows_as_such(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.queue("/films/hero")
    await farm.queue("/tv")
    await farm.set_queue("/films", name="movies")
    await farm.client.delete(f"/jobqueues/{farm.queues['/tv']}")
    await farm.agent("a0")
    await farm.gets("a0")
    names = {name for name in await shown(farm) if name.startswith("farmqueue_queue_assigned")}
    assert names == {
        'farmqueue_queue_assigned{queue="/movies"}',
        'farmqueue_queue_assigned{queue="/movies/hero"}',
    }


async def test_without_queue_metrics_no_queue_is_shown(database: str) -> None:
    app = create_app(Settings(queue_metrics=False), database)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://farm", headers=AUTH) as client,
    ):
        await Farm(client).queue("/films")
        assert 'queue="' not in (await client.get("/metrics")).text


async def test_a_large_farm_is_shown_in_parts_between_which_others_are_served(
    farm: Farm, database: str, app: FastAPI
) -> None:
    await execute(
        database,
        "INSERT INTO jobqueues (name, fullpath) SELECT 'q' || n, '/q' || n"
        " FROM generate_series(1, 10000) n",
    )
    await farm.agent("a0")
    await farm.gets("a0")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    lines = 0
    async for part in app.state.figures.text():
        assert part.count(b"\n") <= AT_A_TIME
        lines += part.count(b"\n")
    beside.cancel()
    assert lines == 2 * 10_000 + 10  # assigned and waiting_tasks, and the heads of five
    assert turns >= 2 * 10_000 / AT_A_TIME


async def test_a_lost_lease_says_how_late_it_was_noticed(farm: Farm, database: str) -> None:
    from app.scheduler.reaper import reap  # noqa: PLC0415

    await farm.agent("a0")
    await execute(
        database, "UPDATE agents SET lease_expires_at = clock_timestamp() - interval '7 seconds'"
    )
    state = farm.client._transport.app.state  # type: ignore[attr-defined]
    before = await shown(farm)
    async with state.engine.begin() as connection:
        assert await reap(connection, state.settings) == 1
    found = await shown(farm)
    assert 7 <= found["farmqueue_reaper_lag_seconds"] < 60
    assert await more(farm, before, "farmqueue_leases_lost_total") == 1


async def test_heartbeats_the_feed_the_pool_and_the_release_are_shown(farm: Farm) -> None:
    await farm.agent("a0")
    before = await shown(farm)
    await farm.heartbeat("a0")
    await farm.gets("a0")
    found = await shown(farm)
    assert await more(farm, before, "farmqueue_heartbeats_served_sum") == 1
    assert found["farmqueue_feed_read_timestamp_seconds"] > 1e9
    assert found["farmqueue_feed_lag_seconds"] >= 0
    assert "farmqueue_feed_news" in found
    assert found["farmqueue_pool_connections_maximum"] == 10
    assert 1 <= found["farmqueue_pool_connections_in_use"] <= 10
    assert [value for name, value in found.items() if name.startswith("farmqueue_build_info")] == [
        1
    ]


def test_what_is_counted_for_a_poll_was_looked_up_before() -> None:
    """No label is looked up on the way of a poll: all are there before the first one."""
    assert set(metrics._SECONDS) == set(metrics._POLLS) == set(metrics.OUTCOMES)
