"""Estimates on jobs: they come by themselves, cost readers nothing, and are null where unknown."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from unittest.mock import AsyncMock

import asyncpg
import psutil
import pytest
from fastapi import FastAPI

from app.errors import Unavailable
from app.settings import Settings
from app.simulation import estimates as keeper
from app.simulation.estimates import Estimates
from app.simulation.forecast import Row, pack
from tests.api.statements import recorded
from tests.farm import Farm, Json
from tests.page.visitor import visitor
from tests.tokens import ADMIN_TOKEN


@pytest.fixture
def settings() -> Settings:
    return Settings(estimates=True, simulate_at_once=0)


@pytest.fixture(autouse=True)
async def _no_process_is_left(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.estimates.close()
    left = [one.cmdline() for one in psutil.Process().children()]
    assert not any("app.simulation.worker" in words for words in left)


async def known(farm: Farm, title: str) -> Json:
    """The job, once an estimate is there."""
    while (found := await farm.see_job(title))["estimate"] is None:
        await asyncio.sleep(0.1)
    return found


def minutes(spread: dict[str, str], as_of: str) -> list[float]:
    began = datetime.fromisoformat(as_of)
    return [
        (datetime.fromisoformat(spread[part]) - began).total_seconds() / 60
        for part in ("p10", "p50", "p90")
    ]


async def test_four_agents_with_known_task_times_are_foreseen(farm: Farm, database: str) -> None:
    await farm.job("long", 84)
    await farm.job("after", 4, priority=-1)
    for number in range(4):
        await farm.agent(f"a{number}")
        await farm.assign(f"a{number}")
        await farm.finish(f"a{number}")
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute("UPDATE assignments SET started_at = ended_at - interval '10 min'")
    await connection.close()
    found = await known(farm, "long")
    assert found["position"] == 0
    p10, p50, p90 = minutes(found["estimate"]["finish"], found["estimate"]["as_of"])
    assert p10 <= p50 <= p90
    assert p50 == pytest.approx(200, rel=0.4)  # 80 tasks of ten minutes; four are not yet many
    after = await farm.see_job("after")
    assert after["position"] == 80
    begins = minutes(after["estimate"]["start"], after["estimate"]["as_of"])
    assert begins[1] == pytest.approx(p50, rel=0.1)
    [listed, _] = (await farm.get("/jobs"))["items"]
    assert listed["estimate"] == (await farm.see_job("long"))["estimate"]


async def test_it_is_null_where_nothing_is_measured_but_the_position_is_known(
    farm: Farm, app: FastAPI
) -> None:
    await farm.job("new", 4)
    await farm.agent("a")
    assert (await farm.see_job("new"))["position"] is None
    while (found := await farm.see_job("new"))["position"] is None:
        await asyncio.sleep(0.1)
    assert (found["position"], found["estimate"]) == (0, None)
    latest = app.state.estimates._latest
    assert latest is not None
    assert latest.took > 0


class Asked:
    """What processes would say, without any."""

    def __init__(self, app: FastAPI) -> None:
        self.keeper: Estimates = app.state.estimates
        self.ask = AsyncMock()
        self.keeper._processes.ask = self.ask

    def says(self, *job_ids: int, took: float = 0.5) -> None:
        """`took` is what of a processor it needed."""
        jobs: list[Row] = [(float(one), 5.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0) for one in job_ids]
        self.ask.return_value = pack(1e9, jobs, took)


@pytest.fixture
def asked(app: FastAPI) -> Asked:
    return Asked(app)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The keeper's, which goes on only when it sleeps or is told."""
    clock = Clock()

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(keeper, "monotonic", clock)
    monkeypatch.setattr(keeper, "sleep", sleep)
    yield clock
    monkeypatch.undo()


async def settled(asked: Asked) -> None:
    """What is under way is over: nobody reads any more, and the minute passes."""
    assert asked.keeper._work
    await asked.keeper._work


async def test_a_job_that_is_over_expects_nothing(farm: Farm, asked: Asked) -> None:
    made = await farm.job("short")
    await farm.agent("a")
    asked.says(made["id"])
    await farm.see_job("short")
    while (await farm.see_job("short"))["position"] is None:
        await asyncio.sleep(0)
    await farm.assign("a")
    await farm.finish("a")
    over = await farm.see_job("short")
    assert (over["position"], over["estimate"]) == (None, None)


async def test_they_are_kept_fresh_for_a_minute_after_the_last_look(
    asked: Asked, clock: Clock
) -> None:
    asked.says(1)
    assert asked.keeper.of(1) == (None, None)
    await settled(asked)
    assert asked.ask.await_count == 2  # at once, and after 30 seconds
    assert asked.keeper.of(1)[0] == 5
    assert clock.now >= 1_060


async def test_they_take_a_twentieth_of_a_processor_at_most(asked: Asked, clock: Clock) -> None:
    asked.says(1, took=10)
    packed = asked.ask.return_value

    async def slowly(_: str) -> bytes:
        clock.now += 10
        return bytes(packed)

    asked.ask.side_effect = slowly
    for _ in range(20):
        asked.keeper.of(1)
        await settled(asked)
    took = 10 * asked.ask.await_count
    assert took <= (clock.now - 1_000) / 20 + 10


async def test_they_are_as_fresh_where_others_want_the_processor(
    asked: Asked, clock: Clock
) -> None:
    """What waits for its turn is slow and takes nothing: the next is due as soon as ever."""
    asked.says(1)
    packed, begun = asked.ask.return_value, []

    async def slowly(_: str) -> bytes:
        begun.append(clock.now)
        clock.now += 15
        return bytes(packed)

    asked.ask.side_effect = slowly
    asked.keeper.of(1)
    await settled(asked)
    assert [at - begun[0] for at in begun] == [0, 15 + 30]


async def test_what_is_old_is_not_shown(asked: Asked, clock: Clock) -> None:
    asked.says(1)
    asked.keeper.of(1)
    await settled(asked)
    assert asked.keeper.of(1)[0] == 5
    await settled(asked)
    clock.now += 3_600
    assert asked.keeper.of(1) == (None, None)
    await settled(asked)
    assert asked.keeper.of(1)[0] == 5


async def test_one_that_fails_leaves_the_last_for_a_while(asked: Asked, clock: Clock) -> None:
    asked.says(1)
    asked.keeper.of(1)
    await settled(asked)
    asked.ask.side_effect = Unavailable("it failed")
    assert asked.keeper.of(1)[0] == 5
    await settled(asked)
    clock.now += 1
    assert asked.keeper.of(1) == (None, None)


async def test_reading_jobs_has_no_more_statements_with_them(
    farm: Farm, app: FastAPI, asked: Asked
) -> None:
    made = await farm.job("one", 5)
    asked.says(made["id"])
    with recorded(app) as first:
        await farm.get("/jobs")
        await farm.see_job("one")
    while (await farm.see_job("one"))["position"] is None:
        await asyncio.sleep(0)
    with recorded(app) as known:
        await farm.get("/jobs")
        await farm.see_job("one")
    app.state.estimates._on = False
    with recorded(app) as without:
        await farm.get("/jobs")
        await farm.see_job("one")
    assert first == known == without


async def test_nobody_waits_for_one_that_takes_long(farm: Farm, asked: Asked) -> None:
    await farm.job("one", 5)

    async def never(_: str) -> None:
        await asyncio.Event().wait()

    asked.ask.side_effect = never
    for _ in range(3):
        assert (await farm.see_job("one"))["estimate"] is None
    assert asked.ask.await_count == 1


async def test_switched_off_they_start_nothing(database: str) -> None:
    off = Estimates(Settings(estimates=False), database)
    assert off.of(1) == (None, None)
    assert off._work is None
    await off.close()


async def test_the_page_of_a_job_says_when_it_is_expected(
    farm: Farm, app: FastAPI, asked: Asked
) -> None:
    made = await farm.job("one", 5)
    asked.says(made["id"])
    reader = visitor(app)
    await reader.log_in(ADMIN_TOKEN)
    while (await farm.see_job("one"))["position"] is None:
        await asyncio.sleep(0)
    shown = await reader.read(f"/page/jobs/{made['id']}")
    assert "<dt>Expected</dt>" in shown
    assert "2001-09-09 01:46:45 UTC" in shown
