"""Heartbeats that came meanwhile are served together, and none waits for what another waits for."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.agents import store
from app.agents.schemas import Heartbeat
from app.settings import Settings
from tests.api.statements import recorded
from tests.farm import Farm
from tests.scheduler.plain_asgi import call
from tests.tokens import ADMIN


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600, lock_timeout_seconds=5)


async def beat(farm: Farm, hostname: str, **fields: object) -> httpx.Response:
    url = f"/agents/{farm.agents[hostname]}/heartbeat"
    return await farm.client.post(url, json=fields)


async def test_a_crowd_costs_as_many_statements_as_one_agent(farm: Farm, app: FastAPI) -> None:
    for number in range(50):
        await farm.agent(f"a{number}")
    with recorded(app) as alone:
        await beat(farm, "a0")
    pulse, agents = app.state.pulse, [UUID(agent_id) for agent_id in farm.agents.values()]
    with recorded(app) as crowd:
        await asyncio.gather(*(pulse.beat(agent, Heartbeat(), ADMIN) for agent in agents))
    assert len(crowd) <= 2 * len(alone), "the first is served alone, all others with the next"


async def test_two_of_one_agent_at_once_are_both_answered(farm: Farm) -> None:
    await farm.agent("a0")
    answers = await asyncio.gather(beat(farm, "a0", free_ram=1), beat(farm, "a0", free_ram=2))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (await farm.get(f"/agents/{farm.agents['a0']}"))["free_ram"] == 2


async def test_among_others_an_agent_that_is_not_there_is_told_so(farm: Farm) -> None:
    await farm.agent("a0")
    farm.agents["gone"] = str(uuid4())
    here, gone = await asyncio.gather(beat(farm, "a0"), beat(farm, "gone"))
    assert (here.status_code, gone.status_code) == (200, 404)
    assert gone.json()["code"] == "agent_not_found"


async def test_each_is_told_to_stop_its_own_work_and_no_others(farm: Farm) -> None:
    held = {}
    for name in ("a0", "a1", "a2"):
        await farm.job(name)
        await farm.agent(name)
        assignment = await farm.assign(name)
        assert assignment is not None
        held[name] = assignment["id"]
    for name in ("a0", "a1"):
        await farm.set_agent(name, state="offline")
    answers = await asyncio.gather(*(beat(farm, name) for name in held))
    assert [answer.json()["stop"] for answer in answers] == [[held["a0"]], [held["a1"]], []]
    history = (await farm.get("/history?limit=1000"))["items"]
    returned = [row["agent_id"] for row in history if row["action"] == "agent.returned"]
    assert sorted(returned) == sorted([farm.agents["a0"], farm.agents["a1"]])


async def test_who_waits_for_a_row_keeps_no_other_row_meanwhile(farm: Farm, database: str) -> None:
    """Else a cycle with the farm lock would wait for the row, and the heartbeat for the cycle."""
    for name in ("free", "taken"):
        await farm.agent(name)
    other = await asyncpg.connect(database.replace("+asyncpg", ""))
    taken = f"SELECT FROM agents WHERE id = '{farm.agents['taken']}' FOR UPDATE"
    free = f"SELECT FROM agents WHERE id = '{farm.agents['free']}' FOR UPDATE NOWAIT"
    async with other.transaction():
        await other.execute(taken)
        beats = asyncio.gather(beat(farm, "free"), beat(farm, "taken"))
        await asyncio.sleep(0.1)
        assert not beats.done()
        await other.execute(free)
    assert [answer.status_code for answer in await beats] == [200, 200]
    await other.close()


async def test_a_batch_that_fails_is_heard_of_by_all_of_it_and_no_other(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.agent("a0")
    await farm.agent("a1")

    async def fails(*_: object) -> None:
        raise OSError("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(store, "renew", fails)
        answers = await asyncio.gather(beat(farm, "a0"), beat(farm, "a1"))
    assert [answer.status_code for answer in answers] == [503, 503]
    assert (await beat(farm, "a0")).status_code == 200


BODIES = [b"", b"{}", b'{"free_ram": 5}', b'{"free_ram": -1}', b'{"x": 1}', b"{", b"null"]


@pytest.mark.parametrize("content_type", [b"application/json", b"text/plain", None])
@pytest.mark.parametrize("body", BODIES)
async def test_the_short_way_answers_as_the_frameworks_does(
    farm: Farm, app: FastAPI, body: bytes, content_type: bytes | None
) -> None:
    await farm.agent("a0")
    path = f"/agents/{farm.agents['a0']}/heartbeat"
    headers = ((b"content-type", content_type),) if content_type else ()
    short_way = await call(app, body, whole=True, path=path, headers=headers)
    long_way = await call(app, body, whole=False, path=path, headers=headers)
    assert short_way.told == long_way.told
