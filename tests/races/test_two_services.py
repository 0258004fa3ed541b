"""64 agents and operators that edit the tree at once, on two service processes of one farm."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from app.audit.service import Audit, audit
from tests.conftest import fresh_database
from tests.farm import Farm, Json
from tests.processes import services
from tests.tokens import AUTH

AGENTS = 64
JOBS = 24
TASKS = 15
MADE = 60  # assignments while operators edit the tree
SEED = 20_261_124


@pytest.fixture(scope="module")
async def shared(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, list[str]]]:
    """A database, and the URLs of the services over it."""
    at = tmp_path_factory.mktemp("two")
    async with fresh_database(server) as database:
        logs = [at / "one.log", at / "two.log"]
        with services(database, logs, fallback_poll_seconds=1) as urls:
            yield database, urls


@pytest.fixture
async def farms(shared: tuple[str, list[str]]) -> AsyncIterator[list[Farm]]:
    _, urls = shared
    limits = httpx.Limits(max_connections=200)
    async with (
        httpx.AsyncClient(headers=AUTH, base_url=urls[0], timeout=60, limits=limits) as one,
        httpx.AsyncClient(headers=AUTH, base_url=urls[1], timeout=60, limits=limits) as two,
    ):
        farms = [Farm(one), Farm(two)]
        yield farms
        for job in farms[0].jobs.values():
            await one.post(f"/jobs/{job}/pause", json={"stop": True})


async def build(farm: Farm, chance: random.Random) -> None:
    """Three levels with limits everywhere, jobs in all of them."""
    for a in range(3):
        await farm.queue(f"/{a}", maximum_agents=chance.choice([None, 5, 20]), weight=a * 10)
        for b in range(3):
            await farm.queue(f"/{a}/{b}", maximum_agents=chance.choice([None, 1, 3, 8]))
            await farm.queue(f"/{a}/{b}/0", minimum_agents=chance.choice([None, 1]))
    paths = list(farm.queues)
    for number in range(JOBS):
        await farm.job(
            f"job {number}",
            tasks=TASKS,
            queue=chance.choice(paths),
            batch=chance.choice([1, 2, 5]),
            maximum_agents=chance.choice([None, None, 1, 4]),
            requeue=-1,
        )


async def work(farm: Farm, hostname: str, chance: random.Random, finished: asyncio.Event) -> None:
    """An agent: ask, report all or a part, fail now and then, give back now and then."""
    results: list[Json] = []
    assignment_id: int | None = None
    while not finished.is_set():
        response = await farm.ask(hostname, wait=0.5, results=results, assignment_id=assignment_id)
        assert response.status_code in {200, 204}, response.text
        results, assignment_id = [], None
        if response.status_code == 204:
            continue
        held = response.json()
        dice = chance.random()
        if dice < 0.1:
            await farm.post(f"/assignments/{held['id']}/release")
            continue
        results = [
            {"task_id": task["id"], "state": "failed" if chance.random() < 0.1 else "done"}
            for task in held["tasks"]
        ]
        assignment_id = held["id"]
        if dice < 0.4:
            await farm.post(f"/assignments/{held['id']}/results", {"results": results})
            results, assignment_id = [], None


async def operate(farm: Farm, chance: random.Random, finished: asyncio.Event) -> None:
    """An operator: limits, moves and pauses; a refusal for a circle or a taken name is right."""
    ids = list(farm.queues.values())
    while not finished.is_set():
        change: dict[str, Any] = chance.choice(
            [
                {"maximum_agents": chance.choice([None, 0, 1, 2, 5, 10]), "minimum_agents": None},
                {"parent_jobqueue_id": chance.choice([None, *ids])},
                {"paused": chance.random() < 0.3},
                {"weight": chance.choice([0, 1, 10, 100]), "priority": chance.choice([-1, 0, 1])},
            ]
        )
        response = await farm.client.patch(f"/jobqueues/{chance.choice(ids)}", json=change)
        assert response.status_code in {200, 409}, response.text
        job = chance.choice(list(farm.jobs.values()))
        await farm.patch(f"/jobs/{job}", {"maximum_agents": chance.choice([None, 1, 3])})


async def found(database: str, *, history: bool = False) -> Audit:
    """What an audit says at this instant, of a farm that it must find nothing at."""
    audited = await audit(database, history=history)
    assert audited.findings.kept == []
    return audited


async def all_done(farm: Farm) -> bool:
    jobs = (await farm.get("/jobs?limit=1000"))["items"]
    return all(job["state"] == "done" for job in jobs if job["id"] in farm.jobs.values())


async def made(database: str) -> int:
    """How many assignments there were so far."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        number: int = await connection.fetchval("SELECT count(*) FROM assignments")
        return number
    finally:
        await connection.close()


async def open_up(farm: Farm) -> None:
    for queue_id in farm.queues.values():
        await farm.patch(
            f"/jobqueues/{queue_id}",
            {"paused": False, "maximum_agents": None, "minimum_agents": None},
        )


@pytest.mark.timeout(400)
async def test_no_instant_of_the_history_breaks_a_rule(
    farms: list[Farm], shared: tuple[str, list[str]]
) -> None:
    database, _ = shared
    before = await made(database)
    chance = random.Random(SEED)
    one, two = farms
    await build(one, chance)
    for number in range(AGENTS):
        await one.agent(f"a{number}")
    two.queues, two.jobs, two.agents = one.queues, one.jobs, one.agents

    working, edited = asyncio.Event(), asyncio.Event()
    agents = [
        asyncio.create_task(work(farms[number % 2], f"a{number}", random.Random(number), working))
        for number in range(AGENTS)
    ]
    operators = [
        asyncio.create_task(operate(farm, random.Random(number), edited))
        for number, farm in enumerate(farms * 2)
    ]
    while await made(database) - before < MADE:
        assert not any(task.done() and task.exception() for task in [*agents, *operators])
        await asyncio.sleep(0.2)
    await found(database)
    edited.set()
    await asyncio.gather(*operators)
    await open_up(one)
    while not await all_done(two):
        assert not any(agent.done() and agent.exception() for agent in agents)
        await asyncio.sleep(0.2)
    working.set()
    await asyncio.gather(*agents)

    audited = await found(database, history=True)
    assert audited.replayed > MADE
    assert audited.unjudged == {}


async def test_a_burst_of_polls_never_passes_the_maximum(farms: list[Farm]) -> None:
    one, two = farms
    await one.queue("/top", maximum_agents=7)
    await one.queue("/top/below")
    await one.job("shot", tasks=500, queue="/top/below")
    for number in range(AGENTS):
        await one.agent(f"a{number}")
    two.agents = one.agents
    answers = await asyncio.gather(
        *(farms[number % 2].ask(f"a{number}") for number in range(AGENTS))
    )
    assert sum(answer.status_code == 200 for answer in answers) == 7
    assert (await one.get(f"/jobqueues/{one.queues['/top']}"))["assigned_agents"] == 7


async def test_work_submitted_to_one_service_wakes_the_agents_that_wait_at_the_other(
    farms: list[Farm],
) -> None:
    one, two = farms
    await one.agent("a0")
    two.agents = one.agents
    poll = asyncio.create_task(two.gets("a0", wait=60))
    await asyncio.sleep(0.3)
    await one.job("shot")
    assert await poll == "shot"
