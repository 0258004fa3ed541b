"""A tree that is applied again and again, while agents work and another operator edits it."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.audit.spoiling import audited
from tests.farm import Farm
from tests.processes import services
from tests.tokens import AUTH

AGENTS, ROUNDS = 8, 6


@pytest.fixture
async def replicas(database: str, tmp_path: Path) -> AsyncIterator[list[Farm]]:
    logs = [tmp_path / "one", tmp_path / "other"]
    with services(database, logs) as urls:
        clients = [httpx.AsyncClient(headers=AUTH, base_url=url, timeout=90) for url in urls]
        yield [Farm(client) for client in clients]
        for client in clients:
            await client.aclose()


def shape(number: int, ids: dict[str, int]) -> dict[str, Any]:
    """Of the same queues two trees, which change places with each other."""
    hero, villain = {"id": ids["/films/hero"]}, {"id": ids["/films/villain"]}
    films = {"id": ids["/films"], "maximum_agents": 2 + number % 3}
    if number % 2:
        return {"queues": {"films": {**films, "queues": {"hero": hero, "villain": villain}}}}
    below = {"villain": villain, f"new {number}": None}
    return {"queues": {"films": {**hero, "maximum_agents": 3}, "hero": {**films, "queues": below}}}


async def work(farm: Farm, hostname: str, over: asyncio.Event) -> int:
    done = 0
    while not over.is_set():
        held = await farm.assign(hostname, wait=0.2)
        if held is not None:
            await farm.finish(hostname)
            done += 1
    return done


async def edit(farm: Farm, over: asyncio.Event, chance: random.Random) -> int:
    """Another operator, whose edits are taken or refused, and never half done."""
    edits = 0
    while not over.is_set():
        queue_id = chance.choice(list(farm.queues.values()))
        change = {"weight": chance.randint(1, 99)}
        answer = await farm.client.patch(f"/jobqueues/{queue_id}", json=change)
        assert answer.status_code in {200, 404}, answer.text
        edits += answer.is_success
    return edits


async def test_a_tree_is_applied_while_agents_work_and_others_edit(
    replicas: list[Farm], database: str
) -> None:
    here, there = replicas
    for path in ("/films", "/films/hero", "/films/villain"):
        await here.queue(path)
    there.queues = here.queues
    for number, path in enumerate(("/films/hero", "/films/villain")):
        await here.job(f"job {number}", tasks=100_000, queue=path)
    for number in range(AGENTS):
        farm = replicas[number % 2]
        await farm.agent(f"a{number}")
    over = asyncio.Event()
    chance = random.Random(7)
    working = [
        asyncio.create_task(work(replicas[number % 2], f"a{number}", over))
        for number in range(AGENTS)
    ]
    editing = asyncio.create_task(edit(there, over, chance))
    for number in range(ROUNDS):
        file = shape(number, here.queues)
        answer = await replicas[number % 2].client.post("/jobqueues/apply?delete=true", json=file)
        assert answer.status_code == 200, answer.text
    over.set()
    assert sum(await asyncio.gather(*working)) > 0
    assert await editing > 0
    file = shape(ROUNDS, here.queues)
    for _ in range(2):
        answer = await here.client.post("/jobqueues/apply?delete=true", json=file)
        assert answer.status_code == 200, answer.text
    assert answer.json()["changes"] == []
    assert await audited(database, history=True) == []
