"""From this release to the next one, while the farm works."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.proxy import proxy
from tests.chaos.stage import Maker, Replica, Stage
from tests.chaos.test_database import at_work
from tests.upgrades.releases import CONTRACT, EXPAND, NEXT, release

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


async def submit(on: Stage, over: asyncio.Event) -> None:
    """Job after job, at both doors in turn."""
    number = 0
    while not over.is_set():
        number += 1
        async with client(on.urls[number % 2]) as http:
            await on.ledger.post(http, "/jobs", {"title": f"s{number}", "frames": "1-3"})
        await asyncio.sleep(0.1)


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
        async with at_work(on):
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
            submitted = len(on.ledger.calls)
            await asyncio.sleep(1)
            over.set()
            await submitting
            assert any(call.accepted for call in on.ledger.calls[submitted:])


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
