"""What is decided before the farm lock is held stands if nothing is new then, else is undone."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.db.driver import FARM_LOCK
from app.db.engine import lock_farm
from app.policy.states import EndedBecause
from app.scheduler import session
from app.scheduler.cycle import Cycles, Round
from app.scheduler.ending import take_back
from tests.farm import Farm, Json
from tests.scheduler.kept_looks import all_equal, served, watching
from tests.scheduler.players import Player
from tests.scheduler.test_kept_equals_fresh import begun

STEPS = 40
SOON = 60  # seconds


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many rounds were, and how many grants and reports in them."""
    found: Counter[str] = Counter()
    undo = Cycles._undo

    def undone(self: Cycles, this: Round) -> None:
        found.update(rounds=1, grants=len(this.grants), reports=len(this.counted))
        undo(self, this)

    monkeypatch.setattr(Cycles, "_undo", undone)
    return found


async def crowd(farm: Farm, names: Iterable[str]) -> None:
    """Each has work, and reports it as done while the others do."""
    for name in names:
        await farm.agent(name)
        assert await farm.assign(name)
    await served(farm.client)  # all that is new so far


def done(farm: Farm, name: str) -> dict[str, Any]:
    held = farm.held[name]
    results = [{"task_id": task["id"], "state": "done"} for task in held["tasks"]]
    return {"assignment_id": held["id"], "results": results}


async def test_what_others_change_meanwhile_undoes_it(
    farm: Farm, app: FastAPI, database: str, undone: Counter[str]
) -> None:
    """Nobody gets work of a queue that was paused before the round was written."""
    for name in ("open", "paused"):
        await farm.queue(f"/{name}", priority=int(name == "paused"))
        await farm.job(name, tasks=20, queue=f"/{name}")
    names = [f"a{number}" for number in range(5)]
    await crowd(farm, names)
    psql = await asyncpg.connect(database.replace("+asyncpg", ""))
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)
        undone.clear()
        async with psql.transaction():
            await psql.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
            polls = [asyncio.create_task(farm.assign(name, **done(farm, name))) for name in names]
            await asyncio.sleep(0.5)
            await psql.execute("UPDATE jobqueues SET paused = true WHERE name = 'paused'")
        given = await asyncio.gather(*polls)
        assert {one["job"]["title"] for one in given if one} == {"open"}
        assert sorted(one["tasks"][0]["frame"] for one in given if one) == [1, 2, 3, 4, 5]
        assert undone["rounds"] == 1
        assert undone["grants"] == undone["reports"] >= 1
        await all_equal(farm.client, app, witness)
    await psql.close()


async def test_who_waits_and_would_have_been_given_work_is_tried_again(
    farm: Farm, app: FastAPI, database: str, undone: Counter[str]
) -> None:
    await farm.queue("/one", maximum_agents=1)
    await farm.job("shot", tasks=9, queue="/one")
    await crowd(farm, ["works"])
    await farm.agent("waits")
    waits = asyncio.create_task(farm.gets("waits", wait=SOON))
    async with watching(database) as witness, asyncio.timeout(SOON):
        while not app.state.desk.waiting:
            await asyncio.sleep(0.01)
        await all_equal(farm.client, app, witness)
        undone.clear()
        async with witness.connection.transaction():
            await witness.connection.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
            works = asyncio.create_task(farm.assign("works", wait=0, **done(farm, "works")))
            await asyncio.sleep(0.5)
            await witness.connection.execute("UPDATE jobqueues SET weight = 77")
        assert (await waits, await works) == ("shot", None)
        assert undone == {"rounds": 1, "grants": 1, "reports": 1}
        await all_equal(farm.client, app, witness)


Edit = Callable[[], Awaitable[Any]]


@pytest.fixture
def just_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[Edit], None]:
    """Have something be done once a round is decided, before it has the lock."""
    whole = session.write_unless_news
    edits: list[Edit] = []

    async def late(*arguments: Any) -> Any:
        if edits:
            await edits.pop()()
        return await whole(*arguments)

    monkeypatch.setattr(session, "write_unless_news", late)
    return edits.append


async def test_a_report_of_one_task_of_two_is_counted_though_it_was_undone(
    farm: Farm,
    app: FastAPI,
    database: str,
    undone: Counter[str],
    just_before: Callable[[Edit], None],
) -> None:
    await farm.job("shot", tasks=2, batch=2)
    await farm.queue("/other")
    await crowd(farm, ["a0"])
    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)
        just_before(lambda: farm.set_queue("/other", weight=77))
        held = farm.held["a0"]
        results = [{"task_id": held["tasks"][0]["id"], "state": "done"}]
        await farm.post(f"/assignments/{held['id']}/results", {"results": results})
        assert undone["reports"] == 1
        assert (await farm.see_job("shot"))["tasks"]["done"] == 1
        await all_equal(farm.client, app, witness)


async def test_who_waits_for_what_it_can_do_only_now_gets_it_though_it_was_undone(
    farm: Farm,
    app: FastAPI,
    undone: Counter[str],
    just_before: Callable[[Edit], None],
) -> None:
    await farm.queue("/other")
    await farm.job("shot", tasks=9, required_tags=["gpu"])
    await farm.agent("waits")
    waits = asyncio.create_task(farm.gets("waits", wait=SOON))
    async with asyncio.timeout(SOON):
        while not app.state.desk.waiting:
            await asyncio.sleep(0.01)
        await served(farm.client)
        undone.clear()
        just_before(lambda: farm.set_queue("/other", weight=77))
        await farm.set_agent("waits", tags=["gpu"])
        assert await waits == "shot"
    assert undone["grants"] == 1


async def test_a_job_waits_for_one_whose_end_was_undone_and_that_failed_meanwhile(
    farm: Farm, app: FastAPI, database: str, just_before: Callable[[Edit], None]
) -> None:
    parent = (await farm.job("parent"))["id"]
    await farm.job("child", parents=[parent], required_tags=["gpu"])
    await crowd(farm, ["a0"])
    await farm.agent("b0", tags=["gpu"])

    async def set_aside() -> None:
        """As the reaper does, once a task was lost too often."""
        a0 = [UUID(farm.agents["a0"])]
        async with app.state.engine.begin() as connection:
            await lock_farm(connection)
            lost = EndedBecause.LEASE_LOST
            assert await take_back(connection, lost, "reaper", agent_ids=a0, most_lost=1) == 1

    async with watching(database) as witness:
        await all_equal(farm.client, app, witness)
        just_before(set_aside)
        assert (await farm.ask("a0", **done(farm, "a0"))).status_code == 409
        assert await farm.gets("b0") is None
        await all_equal(farm.client, app, witness)


async def test_whoever_looks_sees_nothing_that_is_decided_and_not_written(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.job("shot", tasks=9)
    await crowd(farm, ["one", "two"])
    looks = session.look
    polls: list[asyncio.Task[Json | None]] = []

    async def late(*arguments: Any) -> Any:
        found = await looks(*arguments)
        if not polls:
            polls.append(asyncio.create_task(farm.assign("one", **done(farm, "one"))))
            await asyncio.sleep(0.2)
        return found

    monkeypatch.setattr(session, "look", late)
    kept = await app.state.desk.look()
    assert len(kept.held) == kept.farm.root.assigned == 2
    assert {agent.hostname for agent in kept.agents.values() if agent.held} == {"one", "two"}
    assert await polls[0]


@pytest.mark.parametrize(
    "seed",
    [*range(40, 42), *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(42, 48))],
)
async def test_whatever_others_change_on_the_way_of_a_round_the_kept_farms_are_as_one_read_anew(
    client: httpx.AsyncClient,
    app: FastAPI,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    undone: Counter[str],
    seed: int,
) -> None:
    chance = random.Random(seed)
    player = await begun(client, app, chance)
    whole = session.write_unless_news

    async def late(*arguments: Any) -> Any:
        if chance.random() < 0.5:
            await asyncio.sleep(0.02)  # and others come
        if chance.random() < 0.4:
            await edit(player)
        return await whole(*arguments)

    monkeypatch.setattr(session, "write_unless_news", late)
    async with watching(database) as witness:
        for step in range(STEPS):
            name = await (rush(player) if step % 2 else player.step())
            print(f"seed {seed}, step {step}: {name or 'rush'}")  # noqa: T201
            await all_equal(client, app, witness)
    assert min(undone["rounds"], undone["grants"], undone["reports"]) >= 10


async def rush(player: Player) -> None:
    """All that have work report it at about the same time, most as done; there is more."""
    plenty = {"title": "plenty", "frames": "1-99", "cpus": 1, "ram": 1, "priority": 2}
    await player.call("POST", "/jobs", plenty | {"requeue": player.chance.choice([0, -1])})
    await player.work()
    await asyncio.gather(*(again(player, agent_id) for agent_id in list(player.held)))


async def again(player: Player, agent_id: str) -> None:
    for _ in range(3):
        await asyncio.sleep(player.chance.random() / 50)
        held = player.held.pop(agent_id, None)
        if held is None:
            return
        state = player.chance.choice([*["done"] * 7, "failed"])
        said = [{"task_id": task["id"], "state": state} for task in held["tasks"]]
        body = {"agent_id": agent_id, "assignment_id": held["id"], "results": said}
        answer = await player.call("POST", "/assign", body)
        if answer:
            player.held[agent_id] = answer


async def edit(player: Player) -> None:
    await player.chance.choice(
        [
            player.change_queue, player.move_queue, player.submit, player.change_job, player.pause,
            player.change_agent, player.register, player.by_hand, player.rerun, player.release,
            player.forget_job, player.forget_agent, player.forget_queue, player.lose_leases,
        ]
    )()  # fmt: skip
