"""A cycle tells the feed once what it changed; whoever else changes the same is told of as ever."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI

from app.db.driver import connect
from app.db.engine import CHANNEL
from app.scheduler import feed, session, store
from tests.farm import Farm
from tests.scheduler.kept_looks import all_equal, watching
from tests.scheduler.reader import NOTHING, Reader

ROWS = "SELECT jobs, agents FROM farm_changes WHERE xid = $1"
MARK = "no cycle"  # of a hint, after which none of a cycle before it comes


@pytest.fixture
async def hints(database: str) -> AsyncIterator[asyncio.Queue[str]]:
    """Who sent each."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    connection = await connect(database)
    await connection.add_listener(CHANNEL, lambda *told: heard.put_nowait(told[-1]))
    yield heard
    await connection.close()


async def sent(cycles: asyncpg.Connection, hints: asyncio.Queue[str]) -> list[str]:
    """Those that were there until now."""
    await cycles.execute("SELECT pg_notify($1, $2)", CHANNEL, MARK)
    found: list[str] = []
    while (hint := await hints.get()) != MARK:
        found.append(hint)
    return found


class Stage:
    """Three agents, of which the last has the first task of the first of two jobs."""

    def __init__(self, farm: Farm, cycles: asyncpg.Connection) -> None:
        self.cycles = cycles
        self.shot, self.other = farm.jobs["shot"], farm.jobs["other"]
        self.a0, self.a1, self.a2 = (UUID(farm.agents[name]) for name in ("a0", "a1", "a2"))
        self.held = farm.held["a2"]["id"]

    def said(self, what: str) -> store.Judged:
        return (self.held, self.a2, self.shot, 0, what, what, None, None)

    def given(self, agent_id: UUID, job_id: int, ordinal: int) -> store.Granted:
        return (agent_id, job_id, f"{{{ordinal}}}", "")

    async def writes(
        self,
        said: list[store.Judged] | None = None,
        grants: list[store.Granted] | None = None,
        jobs: list[store.Numbers] | None = None,
    ) -> list[tuple[set[int] | None, set[UUID] | None]]:
        """A cycle; the rows of the feed that come of it."""
        await session.begin(self.cycles, await feed.start(self.cycles))
        rows = await session.write(
            self.cycles, session.Written(said or [], grants or [], [], jobs or [])
        )
        found = await self.cycles.fetch(ROWS, rows[0]["transaction"])
        for ids in (one for row in found for one in row if one is not None):
            assert len(set(ids)) == len(ids) > 0
        return [
            (row["jobs"] and set(row["jobs"]), row["agents"] and set(row["agents"]))
            for row in found
        ]


@pytest.fixture
async def stage(farm: Farm, cycles: asyncpg.Connection) -> Stage:
    for title in ("shot", "other"):
        await farm.job(title, tasks=5)
    for hostname in ("a0", "a1", "a2"):
        await farm.agent(hostname)
    assert await farm.gets("a2") == "shot"
    return Stage(farm, cycles)


# --- once ---


async def test_a_cycle_writes_one_row_that_names_all_its_jobs_and_agents(stage: Stage) -> None:
    found = await stage.writes(
        [stage.said("done")],
        [stage.given(stage.a0, stage.shot, 1), stage.given(stage.a1, stage.other, 0)],
        [(stage.shot, 1, 0, "{}", "{[1,2)}"), (stage.other, 0, 0, "{}", "{[0,1)}")],
    )
    assert found == [({stage.shot, stage.other}, {stage.a0, stage.a1, stage.a2})]


async def test_an_agent_that_reports_and_gets_more_is_named_once(stage: Stage) -> None:
    found = await stage.writes(
        [stage.said("done")],
        [stage.given(stage.a2, stage.shot, 1)],
        [(stage.shot, 1, 0, "{}", "{[1,2)}")],
    )
    assert found == [({stage.shot}, {stage.a2})]


async def test_a_row_that_names_no_agents_or_no_jobs_is_none_that_names_everything(
    stage: Stage, reader: Reader
) -> None:
    await reader.news()
    assert await stage.writes(jobs=[(stage.other, 0, 1, "{}", "{[0,1)}")]) == [
        ({stage.other}, None)
    ]
    assert await reader.news() == (set(), {stage.other}, set())
    assert await stage.writes([stage.said("failed")]) == [(None, {stage.a2})]
    assert await reader.news() == (set(), set(), {str(stage.a2)})


async def test_a_cycle_that_changes_nothing_tells_nothing(
    stage: Stage, reader: Reader, hints: asyncio.Queue[str]
) -> None:
    await reader.news()
    assert await stage.writes() == []
    assert await stage.writes([stage.said("running")]) == []
    assert await reader.news() == NOTHING
    assert await sent(stage.cycles, hints) == []


async def test_a_cycle_sends_one_hint_with_the_name_of_its_service(
    stage: Stage, hints: asyncio.Queue[str]
) -> None:
    await stage.writes(
        [stage.said("done")],
        [stage.given(stage.a0, stage.shot, 1)],
        [(stage.shot, 1, 0, "{}", "{[1,2)}")],
    )
    assert await sent(stage.cycles, hints) == ["a test"]


# --- all others ---


async def test_another_service_sees_what_a_cycle_did(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=2, requeue=-1)
    for hostname in ("a0", "a1"):
        await farm.agent(hostname)
    async with watching(database) as witness:
        for hostname in ("a0", "a1"):
            assert await farm.gets(hostname) == "shot"
            await all_equal(farm.client, app, witness)
        assert {one.held is not None for one in witness.kept.agents.values()} == {True}
        await farm.fail("a0")
        await all_equal(farm.client, app, witness)
        await farm.finish("a1")
        await all_equal(farm.client, app, witness)
        [job] = witness.kept.jobs.values()
        assert (job.undone, [one.held for one in witness.kept.agents.values()]) == (1, [None] * 2)


BY_HAND = {
    "an assignment": """INSERT INTO assignments (agent_id, job_id, ordinals)
        SELECT id, 2, '{4}' FROM agents WHERE hostname = 'a0'""",
    "the end of one": """UPDATE assignments SET ended_at = clock_timestamp(),
        ended_because = 'released'""",
    "the numbers of a job": "UPDATE job_progress SET tasks_failed = 1 WHERE job_id = 2",
}
TOLD = {"an assignment": "a0", "the end of one": "a2", "the numbers of a job": "other"}


@pytest.mark.parametrize("what", BY_HAND)
@pytest.mark.parametrize("where", ["in a transaction", "alone", "where a cycle was before"])
async def test_what_is_written_by_hand_is_told(
    farm: Farm,
    stage: Stage,
    reader: Reader,
    database: str,
    hints: asyncio.Queue[str],
    what: str,
    where: str,
) -> None:
    psql = await connect(database)
    if where == "where a cycle was before":
        await stage.writes([stage.said("running")])
        await stage.cycles.execute(BY_HAND[what])
    elif where == "alone":
        await psql.execute(BY_HAND[what])
    else:
        async with psql.transaction():
            await psql.execute("UPDATE agents SET last_seen = clock_timestamp()")
            await psql.execute(BY_HAND[what])
    await psql.close()
    _, jobs, agents = await reader.news()
    by_id = {str(number): name for name, number in (farm.jobs | farm.agents).items()}
    assert [by_id[str(one)] for one in (*jobs, *agents)] == [TOLD[what]]
    assert len(await sent(stage.cycles, hints)) == 1


async def test_a_cycle_of_a_release_that_does_not_tell_is_told_by_the_triggers(
    stage: Stage,
) -> None:
    former = session._WRITE_ALL
    for now, then in ((store.TELL, "NULL"), ("set_config('farmqueue.cycle', 'told', true)", "1")):
        assert now in former
        former = former.replace(now, then)
    await stage.cycles.execute(former)
    found = await stage.writes(
        [stage.said("done")],
        [stage.given(stage.a0, stage.shot, 1)],
        [(stage.shot, 1, 0, "{}", "{[1,2)}")],
    )
    told = [({stage.shot}, None), (None, {stage.a0}), (None, {stage.a2})]
    assert sorted(found, key=str) == sorted(told, key=str)


async def test_what_a_cycle_that_fails_did_not_write_is_not_told(
    stage: Stage, reader: Reader
) -> None:
    await reader.news()
    with pytest.raises(asyncpg.CheckViolationError):
        await stage.writes([stage.said("done")], [], [(stage.shot, 99, 0, "{}", "{}")])
    await session.leave(stage.cycles)
    assert await reader.news() == NOTHING
