"""Whatever happens to a farm, who keeps it in memory has what the database has."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.scheduler.desk import Desk
from app.settings import Settings
from tests.farm import Farm
from tests.races.test_two_services import build, found, made, open_up, operate, work
from tests.scheduler.kept_looks import all_equal, served, watching, words
from tests.scheduler.players import Player
from tests.tokens import AUTH

STEPS = 120
AGENTS = 24
MADE = 60  # assignments


async def begun(client: httpx.AsyncClient, app: FastAPI, chance: random.Random) -> Player:
    """Somebody who plays on a farm that has a few of everything."""
    player = Player(client, app.state.engine, chance)
    for begin in [*[player.register] * 6, *[player.make_queue] * 4, *[player.submit] * 4]:
        await begin()
    return player


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(2, 8))]
)
async def test_after_every_step_of_a_history_the_kept_farms_are_as_one_read_anew(
    client: httpx.AsyncClient, app: FastAPI, database: str, seed: int
) -> None:
    chance = random.Random(seed)
    player = await begun(client, app, chance)
    async with watching(database) as witness:
        steps: list[str] = []
        for _ in range(STEPS):
            steps.append(await player.step())
            print(f"seed {seed}, step {len(steps)}: {steps[-1]}")  # noqa: T201
            await all_equal(client, app, witness)


@pytest.mark.parametrize("seed", [100, 101])
async def test_who_looks_seldom_has_the_same_as_who_looks_at_every_change(
    client: httpx.AsyncClient, app: FastAPI, database: str, seed: int
) -> None:
    chance = random.Random(seed)
    player = await begun(client, app, chance)
    async with watching(database) as witness:
        for _ in range(STEPS // 10):
            steps = [await player.step() for _ in range(chance.randint(5, 15))]
            print(f"seed {seed}: {steps}")  # noqa: T201
            await all_equal(client, app, witness)


async def test_jobs_that_have_not_begun_change_their_turns_when_their_queue_prefers_others(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.queue("/films")
    for weight in (1, 2, 3):
        await farm.job(f"weight {weight}", queue="/films", weight=weight)
    async with watching(database) as witness:
        for prefers in (True, False):
            await farm.set_queue("/films", prefer_running_jobs=prefers)
            await all_equal(farm.client, app, witness)


async def test_a_job_waits_again_once_the_one_that_it_waited_for_begins_anew(
    farm: Farm, app: FastAPI, database: str
) -> None:
    parent = (await farm.job("parent"))["id"]
    await farm.job("child", parents=[parent])
    await farm.agent("a0")
    async with watching(database) as witness:
        await farm.assign("a0")
        await farm.finish("a0")
        await all_equal(farm.client, app, witness)
        await farm.post(f"/jobs/{parent}/rerun")
        await all_equal(farm.client, app, witness)
        assert await farm.gets("a0") == "parent"


async def test_a_job_waits_no_more_once_somebody_ends_the_other_by_hand(
    farm: Farm, app: FastAPI, database: str
) -> None:
    parent = (await farm.job("parent"))["id"]
    await farm.job("child", parents=[parent])
    async with watching(database) as witness:
        await witness.connection.execute(
            "UPDATE job_progress SET waiting = '{}', tasks_done = tasks_total WHERE job_id = $1",
            parent,
        )
        await witness.connection.execute(
            "UPDATE jobs SET time_finished = now() WHERE id = $1", parent
        )
        await all_equal(farm.client, app, witness)


@pytest.fixture
async def two(database: str) -> AsyncIterator[list[tuple[FastAPI, Farm]]]:
    """Two services over one database, in this process."""
    settings = Settings(fallback_poll_seconds=1)
    async with AsyncExitStack() as stack:
        services = []
        for _ in range(2):
            app = create_app(settings, database)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(
                headers=AUTH, transport=transport, base_url="http://farm", timeout=60
            )
            services.append((app, Farm(await stack.enter_async_context(client))))
        yield services


async def test_what_another_service_gave_is_reported_here_before_any_hint_has_come(
    two: list[tuple[FastAPI, Farm]], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app, here), (_, there) = two
    await served(here.client)
    await served(here.client)  # nothing is new
    monkeypatch.setattr(Desk, "stir", lambda _: None)
    await there.agent("a0")
    await there.job("shot", tasks=3)
    assert await there.gets("a0") == "shot"
    here.agents, here.jobs, here.held = there.agents, there.jobs, there.held
    async with watching(database) as witness:
        await here.finish("a0")
        assert (await here.see_job("shot"))["tasks"]["done"] == 1
        await all_equal(here.client, app, witness)


async def test_a_task_that_failed_is_of_a_job_that_another_service_has_deleted(
    two: list[tuple[FastAPI, Farm]], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (app, here), (_, there) = two
    await here.agent("a0")
    await here.agent("a1")
    await here.job("shot", tasks=3)
    await here.job("other", tasks=3)
    assert await here.gets("a0") == "shot"
    await served(here.client)
    monkeypatch.setattr(Desk, "stir", lambda _: None)
    await there.client.delete(f"/jobs/{here.jobs['shot']}")
    async with watching(database) as witness:
        failed, other = await asyncio.gather(here.report("a0", "failed"), here.ask("a1"))
        assert (failed.status_code, other.status_code) == (409, 200)
        await all_equal(here.client, app, witness)


async def test_two_services_at_once_keep_the_same_farm_and_break_no_rule(
    two: list[tuple[FastAPI, Farm]], database: str
) -> None:
    farms = [farm for _, farm in two]
    one, other = farms
    await build(one, random.Random(7))
    for number in range(AGENTS):
        await one.agent(f"a{number}")
    other.queues, other.jobs, other.agents = one.queues, one.jobs, one.agents
    over = asyncio.Event()
    busy = [
        *(work(farms[n % 2], f"a{n}", random.Random(n), over) for n in range(AGENTS)),
        *(operate(farm, random.Random(n), over) for n, farm in enumerate(farms)),
    ]
    at_work = asyncio.gather(*busy)
    while await made(database) < MADE:
        assert not at_work.done()
        await asyncio.sleep(0.1)
    over.set()
    await at_work
    await open_up(one)
    async with watching(database) as witness:
        for app, farm in two:
            await served(farm.client)
            assert words(app.state.desk._cycles.kept) == words(witness.kept)
    audited = await found(database, history=True)
    assert audited.replayed >= MADE
