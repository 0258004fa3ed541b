"""Who waits at the desk gets work as soon as there is any for it, and is left alone until then."""

import asyncio
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI

from app.db.driver import FARM_LOCK
from app.policy.kinds import SPARE
from app.policy.pick import pick
from app.scheduler.arrivals import CROWD
from app.scheduler.cycle import Cycles, Report, Round
from app.scheduler.schemas import Result
from tests.farm import Farm
from tests.held import held_open
from tests.tokens import ADMIN

SOON = 60  # seconds; without hints or a fall-back nothing would ever come


async def waits(farm: Farm, app: FastAPI, hostname: str) -> asyncio.Task[str | None]:
    """A poll that is held open."""
    before = app.state.desk.waiting
    poll = asyncio.create_task(farm.gets(hostname, wait=60))
    await held_open(app, before + 1)
    return poll


async def soon(poll: asyncio.Task[str | None]) -> str | None:
    return await asyncio.wait_for(poll, SOON)


async def all_tasks(farm: Farm, hostname: str, state: str) -> Report:
    held = farm.held.pop(hostname)
    said = [{"task_id": task["id"], "state": state} for task in held["tasks"]]
    return Report(held["id"], [Result.model_validate(one) for one in said], ADMIN)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The agents for which work was looked for, in that order."""
    agents: list[Any] = []

    def counted(farm: Any, agent: Any) -> Any:
        agents.append(str(agent.id))
        return pick(farm, agent)

    monkeypatch.setattr("app.scheduler.cycle.pick", counted)
    return agents


# --- several reports in one cycle ---


@pytest.mark.parametrize("state", ["done", "failed"])
async def test_two_agents_end_the_last_two_tasks_of_a_job_in_the_same_cycle(
    farm: Farm, app: FastAPI, state: str
) -> None:
    await farm.job("shot", tasks=2, requeue=0)
    for hostname in ("a0", "a1"):
        await farm.agent(hostname)
        assert await farm.gets(hostname) == "shot"
    reports = [await all_tasks(farm, hostname, state) for hostname in ("a0", "a1")]
    statuses = await asyncio.gather(*(app.state.desk.tell(report) for report in reports))
    assert [status.active for status in statuses] == [False, False]
    assert (await farm.see_job("shot"))["state"] == state


async def test_progress_comes_in_the_same_cycle_as_the_end_of_the_job(
    farm: Farm, app: FastAPI
) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    assert await farm.gets("a0") == "shot"
    held = farm.held["a0"]
    said = [{"task_id": held["tasks"][0]["id"], "state": state} for state in ("running", "done")]
    reports = [Report(held["id"], [Result.model_validate(one)], ADMIN) for one in said]
    statuses = await asyncio.gather(*(app.state.desk.tell(report) for report in reports))
    assert [status.active for status in statuses] == [True, False]


# --- work that fits only now ---


async def test_a_waiting_agent_gets_work_that_its_new_tags_let_it_do(
    farm: Farm, app: FastAPI
) -> None:
    await farm.job("shot", required_tags=["gpu"])
    await farm.agent("a0")
    poll = await waits(farm, app, "a0")
    await farm.set_agent("a0", tags=["gpu"])
    assert await soon(poll) == "shot"


async def test_a_waiting_agent_gets_work_that_waited_for_its_memory(
    farm: Farm, app: FastAPI
) -> None:
    await farm.job("shot", ram=8_000)
    await farm.agent("a0", ram=16_000, free_ram=4_000)
    poll = await waits(farm, app, "a0")
    await farm.heartbeat("a0", free_ram=12_000)
    assert await soon(poll) == "shot"


# --- failed tasks ---


async def barred(farm: Farm, app: FastAPI, *others: str) -> asyncio.Task[str | None]:
    """An agent that failed a task and waits, while the others could still try that."""
    for hostname in ("a0", *others):
        await farm.agent(hostname)
    await farm.job("bad", requeue=-1)
    assert await farm.gets("a0") == "bad"
    await farm.fail("a0")
    return await waits(farm, app, "a0")


async def test_a_waiting_agent_gets_a_task_that_it_failed_once_all_others_failed_it(
    farm: Farm, app: FastAPI
) -> None:
    poll = await barred(farm, app, "a1")
    assert await farm.gets("a1") == "bad"
    assert not poll.done()
    await farm.fail("a1")
    assert await soon(poll) == "bad"


async def test_a_waiting_agent_gets_what_all_failed_while_another_task_still_bars_it(
    farm: Farm, app: FastAPI
) -> None:
    for hostname in ("a0", "a1"):
        await farm.agent(hostname)
    for title in ("bad", "worse"):
        await farm.job(title, requeue=-1)
        assert await farm.gets("a0") == title
        await farm.fail("a0")
    poll = await waits(farm, app, "a0")
    assert await farm.gets("a1") == "bad"
    await farm.fail("a1")
    assert await soon(poll) == "bad"


async def test_a_waiting_agent_gets_a_task_that_it_failed_once_the_others_are_gone(
    farm: Farm, app: FastAPI
) -> None:
    poll = await barred(farm, app, "a1")
    await farm.set_agent("a1", state="offline")
    assert await soon(poll) == "bad"


async def test_a_waiting_agent_gets_a_task_that_it_failed_once_nobody_else_has_the_memory(
    farm: Farm, app: FastAPI
) -> None:
    poll = await barred(farm, app, "a1")
    assert await farm.gets("a1", free_ram=1) is None
    assert await soon(poll) == "bad"


async def test_a_waiting_agent_gets_a_new_job_like_one_that_it_failed(
    farm: Farm, app: FastAPI
) -> None:
    poll = await barred(farm, app, "a1")
    await farm.job("new")
    assert await soon(poll) == "new"


async def test_a_waiting_agent_gets_a_job_that_opens_like_one_that_it_failed(
    farm: Farm, app: FastAPI
) -> None:
    await farm.job("paused", paused=True)
    poll = await barred(farm, app, "a1")
    await farm.post(f"/jobs/{farm.jobs['paused']}/resume")
    assert await soon(poll) == "paused"


# --- no work for nothing ---


async def test_waiting_agents_are_not_tried_again_when_nothing_more_is_open(
    farm: Farm, app: FastAPI, tried: list[str]
) -> None:
    await farm.job("for others", required_tags=["gpu"], tasks=5)
    for hostname in ("a0", "a1", "busy"):
        await farm.agent(hostname, tags=["gpu"] if hostname == "busy" else [])
    polls = [await waits(farm, app, hostname) for hostname in ("a0", "a1")]
    tried.clear()
    for _ in range(3):
        assert await farm.gets("busy") == "for others"
        await farm.finish("busy")
    assert set(tried) == {farm.agents["busy"]}
    await farm.job("more for others", required_tags=["gpu"])
    assert await farm.gets("busy") == "for others"
    assert set(tried) == {farm.agents["busy"]}
    await farm.job("for all", tasks=2)
    assert [await soon(poll) for poll in polls] == ["for all", "for all"]


async def test_a_kind_that_opens_again_is_tried_again(
    farm: Farm, app: FastAPI, tried: list[str]
) -> None:
    await farm.queue("/still")
    await farm.job("shot", queue="/still", required_tags=["gpu"])
    await farm.agent("a0")
    poll = await waits(farm, app, "a0")
    for paused in (True, False):
        await farm.set_queue("/still", paused=paused)
        assert await farm.gets("a0") is None
    assert await poll is None  # its agent asked anew
    poll = await waits(farm, app, "a0")
    tried.clear()
    await farm.set_queue("/still", paused=True)
    await farm.job("mine", queue="/still")
    app.state.desk.stir()
    await farm.set_queue("/still", paused=False)
    assert await soon(poll) == "mine"
    assert set(tried) == {farm.agents["a0"]}


# --- kinds whose bits are given anew ---


async def new_kinds_at_once(farm: Farm, count: int) -> None:
    jobs = [
        {"title": f"k{n}", "start": 1, "end": 1, "required_tags": [f"tag{n}"]} for n in range(count)
    ]
    await farm.post("/jobs/batch", {"jobs": jobs})


async def test_work_of_a_kind_that_has_the_bits_of_a_former_one_reaches_who_waits(
    farm: Farm, app: FastAPI
) -> None:
    await new_kinds_at_once(farm, SPARE + 2)
    await farm.agent("a0")
    poll = await waits(farm, app, "a0")
    connection = await app.state.engine.connect()
    await connection.exec_driver_sql("DELETE FROM jobs WHERE title LIKE 'k%'")
    await connection.exec_driver_sql("SELECT pg_notify('farmqueue', '')")
    await farm.job("elsewhere", paused=True)
    await connection.commit()  # only now all kinds are gone; the next job has the bits of one
    await connection.close()
    await farm.job("mine")
    assert await soon(poll) == "mine"


async def test_bits_freed_and_given_anew_in_one_look_hide_no_work(farm: Farm, app: FastAPI) -> None:
    await new_kinds_at_once(farm, SPARE + 2)
    await farm.agent("a0")
    poll = await waits(farm, app, "a0")
    kinds = app.state.desk._cycles.kept.farm.kinds
    bits, given = kinds.open_bits, kinds.given_anew
    async with app.state.engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM jobs WHERE title LIKE 'k%'")
        await connection.exec_driver_sql(
            'WITH made AS (INSERT INTO jobs (title, frames, "start", "end", "by", tasks_total)'
            " VALUES ('mine', '1', 1, 1, 1, 1) RETURNING id)"
            " INSERT INTO job_progress (job_id, tasks_total, waiting)"
            " SELECT id, 1, '{[0,1)}' FROM made"
        )
        await connection.exec_driver_sql("SELECT pg_notify('farmqueue', '')")
    assert await soon(poll) == "mine"
    assert kinds.given_anew > given
    assert not kinds.open_bits & ~bits  # an old bit, now of another kind


async def test_a_round_counts_once_what_it_changed_is_there(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, refresh = app.state.desk, Cycles.refresh
    counted: list[int] = []

    async def noted(self: Cycles, connection: asyncpg.Connection) -> bool:
        counted.append(desk.rounds)
        return await refresh(self, connection)

    monkeypatch.setattr(Cycles, "refresh", noted)
    await farm.job("shot")
    async with asyncio.timeout(60):
        while not counted or desk.rounds <= counted[-1]:
            await asyncio.sleep(0.01)


# --- a crowd ---


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The polls of each cycle."""
    served: list[list[Any]] = []
    run = Cycles.run

    async def seen(self: Cycles, connection: Any, this: Round) -> None:
        served.append(list(this.asked))
        await run(self, connection, this)

    monkeypatch.setattr(Cycles, "run", seen)
    return served


async def test_a_crowd_that_comes_at_once_is_served_in_parts_those_that_report_first(
    farm: Farm, app: FastAPI, database: str, rounds: list[list[Any]]
) -> None:
    await farm.job("shot", tasks=1_000)
    for hostname in ("first", "works"):
        await farm.agent(hostname)
    await farm.assign("works")
    crowd = [f"a{number}" for number in range(2 * CROWD + 1)]
    for hostname in crowd:
        await farm.agent(hostname)
    rounds.clear()
    results = [{"task_id": farm.held["works"]["tasks"][0]["id"], "state": "done"}]
    calls = [
        *(farm.assign(hostname) for hostname in crowd),
        farm.assign("works", results=results),
    ]
    psql = await asyncpg.connect(database.replace("+asyncpg", ""))
    async with psql.transaction():  # until all have come
        await psql.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
        polls = [asyncio.create_task(farm.assign("first"))]
        while not rounds:
            await asyncio.sleep(0.01)
        polls += [asyncio.create_task(call) for call in calls]
        while len(app.state.desk._arrivals) < len(calls):
            await asyncio.sleep(0.01)
    await psql.close()
    assert None not in await asyncio.gather(*polls)
    assert [len(asked) for asked in rounds] == [1, CROWD + 1, CROWD + 1]
    assert [any(poll.results for poll in asked) for asked in rounds] == [False, True, False]
