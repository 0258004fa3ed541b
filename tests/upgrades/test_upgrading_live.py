"""From this release to the next one, while the farm works."""

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.crew import Agent
from tests.chaos.proxy import proxy
from tests.chaos.stage import Maker, Replica, Stage
from tests.chaos.test_database import at_work
from tests.upgrades.releases import CONTRACT, EXPAND, NEXT, release

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


async def submit(on: Stage, over: asyncio.Event) -> list[str]:
    """Job after job, at the doors in turn; their titles."""
    titles: list[str] = []
    while not over.is_set():
        titles.append(f"submitted-{len(titles)}")
        await one(on, titles[-1], len(titles))
        await asyncio.sleep(0.05)
    return titles


async def one(on: Stage, title: str, first: int) -> None:
    """Submit it where a service is ready, and again with the same key until one took it."""
    body = {"title": title, "frames": "1-3", "requeue": -1}
    for turn in itertools.count(first):
        at = on.replicas[turn % len(on.replicas)]
        if await on.ready(at):
            async with client(at.door_url) as http:
                call = await on.ledger.post(http, "/jobs", body, **{"Idempotency-Key": title})
            if call.status == httpx.codes.CREATED:
                return
            assert call.status in {None, httpx.codes.SERVICE_UNAVAILABLE}, call
        await asyncio.sleep(0.02)


async def must_be_there_once(on: Stage, titles: list[str]) -> None:
    rows = await on.postgres.fetch("SELECT title FROM jobs WHERE title LIKE 'submitted-%'")
    assert sorted(row["title"] for row in rows) == sorted(titles)


async def must_have_kept_their_work(on: Stage, agents: list[Agent]) -> None:
    """No call of theirs was refused for good, and nobody lost what it held."""
    assert on.ledger.statuses() <= {None, 200, 201, 204, httpx.codes.SERVICE_UNAVAILABLE}
    assert [agent.dropped for agent in agents] == [[]] * len(agents)
    ended = await invariants.made(on, "assignment.ended")
    assert "lease_lost" not in {row["detail"]["because"] for row in ended}


async def test_no_request_is_lost_where_the_next_release_takes_over(
    stage: Maker, tmp_path: Path
) -> None:
    later = release(tmp_path / "next", EXPAND)
    async with stage(replicas=1) as on, AsyncExitStack() as stack:
        [old] = on.replicas
        way = await stack.enter_async_context(proxy(on.postgres.port))
        new = Replica(tmp_path / "new.log", way, old.settings, later.environ)
        new.door = await stack.enter_async_context(proxy(new.port))
        stack.push_async_callback(new.end)
        on.replicas.append(new)
        over = asyncio.Event()
        async with at_work(on, tasks=300) as working:
            submitting = asyncio.create_task(submit(on, over))
            await asyncio.sleep(1)
            code, said = await later.migrate(on.postgres.url)
            assert code == 0, said
            assert await on.ready(old)
            await new.start()
            await asyncio.sleep(1)
            assert await on.ready(old)
            assert await on.ready(new)
            async with client(new.url) as http:
                assert f'schema="{NEXT}"' in (await http.get("/metrics")).text
            assert await old.end() == 0
            before = len(on.ledger.calls)
            await asyncio.sleep(1)
            assert not await invariants.all_done(on)
            over.set()
            titles = await submitting
            after = {call.path for call in on.ledger.calls[before:] if call.accepted}
            assert {"/jobs", "/assign"} <= after
        await must_be_there_once(on, titles)
        await must_have_kept_their_work(on, working.agents)


async def test_a_schema_that_took_something_away_is_refused_by_the_former_release(
    stage: Maker, tmp_path: Path
) -> None:
    async with stage(replicas=1) as on:
        agent = (await on.farm.agent("a0"))["id"]
        code, said = await release(tmp_path / "next", CONTRACT).migrate(on.postgres.url)
        assert code == 0, said
        async with client(on.urls[0]) as http:
            ready = await http.get("/readyz")
            asked = await http.post("/assign", json={"agent_id": agent})
        for refused in (ready, asked):
            assert refused.status_code == 503
            assert f"the database's schema is {NEXT}" in refused.json()["detail"]
            assert "the release that fits" in refused.json()["detail"]
        assert await invariants.made(on, "assignment.made") == []
