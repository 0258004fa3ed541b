"""Polls held open: answered when work comes, leaving nothing behind when they go."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.scheduler import session, store
from app.settings import Settings
from tests.farm import Farm
from tests.held import held_open
from tests.tokens import AUTH

Change = Callable[[Farm], Awaitable[object]]


@pytest.fixture
def settings() -> Settings:
    """Without hints nothing would happen within a test: the fall-back comes once an hour."""
    return Settings(fallback_poll_seconds=3600)


async def test_a_poll_that_does_not_wait_is_answered_at_once(farm: Farm) -> None:
    await farm.agent("a0")
    assert await farm.assign("a0") is None


async def test_a_poll_ends_empty_when_its_wait_is_over(farm: Farm, app: FastAPI) -> None:
    await farm.agent("a0")
    assert await farm.assign("a0", wait=0.2) is None
    assert app.state.desk.waiting == 0


async def submitted(farm: Farm) -> None:
    await farm.job("new", tasks=1)


async def resumed(farm: Farm) -> None:
    await farm.post(f"/jobs/{farm.jobs['paused']}/resume")


async def limit_raised(farm: Farm) -> None:
    await farm.set_queue("/closed", maximum_agents=1)


async def queue_resumed(farm: Farm) -> None:
    await farm.set_queue("/still", paused=False)


async def released(farm: Farm) -> None:
    await farm.post(f"/assignments/{farm.held['busy']['id']}/release")


async def freed(farm: Farm) -> None:
    await farm.finish("busy")


async def taken_back(farm: Farm) -> None:
    await farm.set_agent("busy", state="disabled")


async def reported_in_a_poll(farm: Farm) -> None:
    held = farm.held["busy"]
    results = [{"task_id": task["id"], "state": "done"} for task in held["tasks"]]
    await farm.set_agent("busy", state="draining")
    await farm.assign("busy", results=results, assignment_id=held["id"])


@pytest.mark.parametrize(
    "change",
    [
        submitted, resumed, limit_raised, queue_resumed,
        released, freed, taken_back, reported_in_a_poll,
    ],
)  # fmt: skip
async def test_a_waiting_poll_is_answered_as_soon_as_there_is_work(
    farm: Farm, app: FastAPI, change: Change
) -> None:
    await farm.queue("/closed", maximum_agents=0)
    await farm.queue("/still", paused=True)
    await farm.job("in closed", queue="/closed")
    await farm.job("in still", queue="/still")
    await farm.job("paused", paused=True)
    await farm.job("one at a time", tasks=3, maximum_agents=1, requeue=-1)
    await farm.agent("busy")
    await farm.agent("a0")
    assert await farm.gets("busy") == "one at a time"
    poll = asyncio.create_task(farm.gets("a0", wait=60))
    await held_open(app)
    await change(farm)
    assert await poll is not None


async def test_waiting_agents_are_served_in_the_order_in_which_they_came(
    farm: Farm, app: FastAPI
) -> None:
    polls = []
    for number in range(4):
        await farm.agent(f"a{number}")
        polls.append(asyncio.create_task(farm.gets(f"a{number}", wait=60)))
        await held_open(app, number + 1)
    await farm.job("shot", tasks=2)
    assert await asyncio.gather(*polls[:2]) == ["shot"] * 2
    assert not any(poll.done() for poll in polls[2:])
    app.state.desk.close()
    assert await asyncio.gather(*polls[2:]) == [None] * 2


async def test_a_second_poll_of_the_same_agent_answers_the_first(farm: Farm, app: FastAPI) -> None:
    await farm.agent("a0")
    first = asyncio.create_task(farm.ask("a0", wait=60))
    await held_open(app)
    second = asyncio.create_task(farm.ask("a0", wait=60))
    assert (await first).status_code == 204
    await farm.job("shot")
    assert (await second).status_code == 200


async def test_a_waiting_poll_of_an_agent_that_is_disabled_hears_of_it(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.ask("a0", wait=60))
    await held_open(app)
    await farm.set_agent("a0", state="disabled")
    assert (await poll).status_code == 409


async def test_a_waiting_poll_of_an_agent_that_said_goodbye_gets_no_work(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.ask("a0", wait=60))
    await held_open(app)
    await farm.set_agent("a0", state="offline")
    await farm.job("shot")
    assert (await poll).status_code == 204
    assert (await farm.see_job("shot"))["assigned_agents"] == 0
    assert await farm.gets("a0") == "shot"


async def test_a_job_that_comes_while_a_cycle_reads_does_no_harm(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.queue("/empty")
    await farm.agent("a0")
    for module, names in [(session, ["look", "begin", "write_unless_news"]), (store, ["told"])]:
        called = False

        def reading_late(read: Any) -> Any:
            async def reads(*arguments: Any) -> Any:
                nonlocal called
                if not called:
                    called = True
                    await farm.job("late", queue="/empty", priority=1)
                return await read(*arguments)

            return reads

        with monkeypatch.context() as held_up:
            for name in names:
                held_up.setattr(module, name, reading_late(getattr(module, name)))
            await farm.job("early")
            assert (await farm.ask("a0")).status_code in {200, 204}
        assert called
        if await farm.gets("a0"):
            await farm.finish("a0")


async def test_waiting_polls_hold_no_database_connection_but_the_two_of_their_desk(
    farm: Farm, app: FastAPI
) -> None:
    pool = app.state.settings.pool_size
    polls = []
    for number in range(pool * 3):
        await farm.agent(f"a{number}")
        polls.append(asyncio.create_task(farm.ask(f"a{number}", wait=60)))
    await held_open(app, len(polls))
    assert app.state.engine.pool.checkedout() == 2
    app.state.desk.close()
    assert {(await poll).status_code for poll in polls} == {204}


async def test_a_client_that_hangs_up_leaves_no_poll_and_no_connection(
    farm: Farm, app: FastAPI
) -> None:
    for number in range(20):
        await farm.agent(f"a{number}")
    polls = [asyncio.create_task(farm.ask(f"a{number}", wait=60)) for number in range(20)]
    await held_open(app, 20)
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    assert app.state.desk.waiting == 0
    await farm.job("shot")
    assert (await farm.see_job("shot"))["assigned_agents"] == 0
    assert app.state.engine.pool.checkedout() == 2


async def test_a_desk_that_closes_answers_all_and_lets_nobody_wait(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.ask("a0", wait=60))
    await held_open(app)
    app.state.desk.close()
    sent_away = await poll
    assert sent_away.status_code == 204
    assert sent_away.headers["retry-after"] in {"1", "2", "3", "4", "5"}
    at_once = await farm.ask("a0", wait=60)
    assert (at_once.status_code, "retry-after" in at_once.headers) == (204, False)


async def test_a_poll_that_goes_the_long_way_is_sent_away_as_well(farm: Farm, app: FastAPI) -> None:
    await farm.agent("a0")
    body = json.dumps({"agent_id": farm.agents["a0"], "wait": 60}).encode()

    async def in_parts() -> AsyncIterator[bytes]:
        yield body[:10]
        yield body[10:]

    headers = {"content-type": "application/json"}
    poll = asyncio.create_task(farm.client.post("/assign", content=in_parts(), headers=headers))
    await held_open(app)
    app.state.desk.close()
    assert ((await poll).status_code, "retry-after" in (await poll).headers) == (204, True)


async def test_a_failed_cycle_refuses_new_polls_and_keeps_old_ones(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.agent("old")
    await farm.agent("new")
    old = asyncio.create_task(farm.gets("old", wait=60))
    await held_open(app)

    async def fails(*_: object) -> None:
        raise OSError("the database went away")

    with monkeypatch.context() as broken:
        for message in ("begin", "write_unless_news"):
            broken.setattr(f"app.scheduler.session.{message}", fails)
        app.state.desk.stir()
        refused = await farm.ask("new")
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    await farm.job("shot")
    assert await old == "shot"


async def test_without_any_hint_the_fall_back_finds_the_work(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.main import create_app  # noqa: PLC0415

    async def deaf(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("app.main.listen", deaf)
    app = create_app(Settings(fallback_poll_seconds=0.1), database)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(headers=AUTH, transport=transport, base_url="http://farm") as client,
    ):
        farm = Farm(client)
        await farm.agent("a0")
        poll = asyncio.create_task(farm.gets("a0", wait=60))
        await held_open(app)
        await farm.job("shot")
        assert await poll == "shot"
