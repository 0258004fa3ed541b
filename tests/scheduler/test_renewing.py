"""When a call renews the lease of its agent, and which lease the agent is told."""

import asyncio
from datetime import datetime, timedelta

import pytest
from fastapi import FastAPI

from app.scheduler import leases
from tests.conftest import execute
from tests.farm import Farm, Json
from tests.held import held_open

# Between two looks at the clock within a statement.
MOMENT = timedelta(seconds=0.01)


async def stored(farm: Farm, hostname: str) -> datetime:
    agent = await farm.get(f"/agents/{farm.agents[hostname]}")
    return datetime.fromisoformat(agent["lease_expires_at"])


def told(assignment: dict[str, str] | None) -> datetime:
    assert assignment is not None
    return datetime.fromisoformat(assignment["lease_expires_at"])


@pytest.fixture(autouse=True)
async def _work(farm: Farm) -> None:
    await farm.job("shot", tasks=10)
    await farm.agent("a0")


async def done(farm: Farm) -> Json | None:
    """The answer to a poll that reports what the agent holds."""
    results = [{"task_id": task["id"], "state": "done"} for task in farm.held["a0"]["tasks"]]
    return await farm.assign("a0", results=results)


async def test_a_lease_that_is_as_good_as_new_is_told_and_not_written_again(farm: Farm) -> None:
    first = told(await farm.assign("a0"))
    again = told(await done(farm))
    assert first == again
    assert again <= await stored(farm, "a0") < again + MOMENT


async def test_what_is_told_is_what_is_left_of_the_lease_at_least(farm: Farm, app: FastAPI) -> None:
    whole = app.state.settings.lease_seconds
    first = await farm.assign("a0")
    again = await done(farm)
    assert first is not None
    assert again is not None
    assert first["lease_seconds"] == again["lease_seconds"] == whole * 0.95
    assert leases.AS_GOOD_AS_NEW <= 0.05  # a lease that is told and not written has that left


async def test_who_held_nothing_and_gets_work_has_its_lease_written(
    farm: Farm, database: str
) -> None:
    """Another service may have given it a longer one meanwhile, for a poll that waited there."""
    await farm.assign("a0")
    await farm.finish("a0")
    longer = "UPDATE agents SET lease_expires_at = lease_expires_at + interval '1 minute'"
    await execute(database, longer)
    given = told(await farm.assign("a0"))
    assert given <= await stored(farm, "a0") < given + MOMENT


async def test_a_lease_that_is_older_is_renewed(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "AS_GOOD_AS_NEW", 0)
    first = told(await farm.assign("a0"))
    again = told(await done(farm))
    assert first < again <= await stored(farm, "a0") < again + MOMENT


async def test_what_an_agent_says_of_its_memory_is_written_at_once(farm: Farm) -> None:
    await farm.assign("a0", free_ram=1000)
    await farm.assign("a0", free_ram=900)
    assert (await farm.get(f"/agents/{farm.agents['a0']}"))["free_ram"] == 900


async def test_who_was_offline_and_asks_is_online(farm: Farm) -> None:
    await farm.assign("a0")
    await farm.set_agent("a0", state="offline")
    await farm.assign("a0")
    assert (await farm.get(f"/agents/{farm.agents['a0']}"))["state"] == "online"


async def test_who_reports_and_then_waits_may_be_silent_as_long_as_it_waits(
    farm: Farm,
) -> None:
    before = told(await farm.assign("a0"))
    await farm.post(f"/jobs/{farm.jobs['shot']}/pause")
    _, poll = await asyncio.gather(farm.finish("a0"), farm.ask("a0", wait=0.2))
    assert poll.status_code == 204
    assert await stored(farm, "a0") > before + timedelta(seconds=0.1)


async def test_the_longer_lease_of_a_poll_that_waited_is_cut_when_it_gets_work(
    farm: Farm, app: FastAPI
) -> None:
    await farm.post(f"/jobs/{farm.jobs['shot']}/pause")
    before = await stored(farm, "a0")
    waiting = asyncio.create_task(farm.assign("a0", wait=60))
    await held_open(app)
    long = await stored(farm, "a0")
    await farm.post(f"/jobs/{farm.jobs['shot']}/resume")
    short = told(await asyncio.wait_for(waiting, 60))
    assert short <= await stored(farm, "a0") < short + MOMENT
    assert before < short < long - timedelta(seconds=30)
