"""Somebody keeps an old snapshot, so that nothing which became old is cleared away."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.db.driver import connect
from app.scheduler import ending, feed, session, store
from tests.conftest import execute
from tests.farm import Farm

JOBS = 4
TASKS = 200  # every other one waits: few states of such a row fill a page
ROUNDS = 200  # assignments of one agent, and writes of each job
CYCLES = 10  # that are looked at, so that each job changes its page in some
MORE = 3  # times as many blocks, for the states of the latest version and an index that grew

FEW = 100  # blocks; all that was held since is some hundred

# Assignments that were held since, each of another agent and job.
FORMER = """
INSERT INTO assignments (agent_id, job_id, ordinals)
SELECT gen_random_uuid(), 1000 + n, '{0}' FROM generate_series(1, 20000) n
"""
END = """
UPDATE assignments SET ended_at = clock_timestamp(), ended_because = 'completed' WHERE job_id > 1000
"""

HOLES = """
UPDATE job_progress SET waiting = (
    SELECT range_agg(int4range(o, o + 1)) FROM generate_series(0, tasks_total - 1, 2) o
)
"""


@pytest.fixture
async def held_snapshot(database: str) -> AsyncIterator[None]:
    connection = await connect(database)
    await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agents")
    yield
    await connection.execute("ROLLBACK")
    await connection.close()


async def blocks(cycles: asyncpg.Connection, agent_id: UUID, jobs: list[int]) -> int:
    """What cycles touch that give the agent a task and write all these jobs."""
    alive = [(agent_id, None, 60.0, True)]
    counts = [(job_id, 0, 0, "{}", "{}") for job_id in jobs]
    values = store.decided([(agent_id, jobs[0], "{0}", "")], alive, counts)
    types, literals = ", ".join(["text"] * len(values)), ", ".join(f"'{one}'" for one in values)
    await cycles.execute(f"PREPARE decide ({types}) AS {store.DECIDE}")
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE decide ({literals})"
    begun = cycles.transaction()
    await begun.start()
    plans = [json.loads(await cycles.fetchval(explained)) for _ in range(CYCLES)]
    await begun.rollback()
    await cycles.execute("DEALLOCATE decide")
    return sum(written(plan["Plan"]) for [plan] in plans)


def written(plan: dict[str, Any]) -> int:
    """Blocks that the writing parts of a plan touched, with all that they looked up."""
    if plan["Node Type"] == "ModifyTable":
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return sum(map(written, plan.get("Plans", [])))


async def read(cycles: asyncpg.Connection, jobs: list[int]) -> int:
    """What a cycle touches that hears of these jobs from another service."""
    explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {store.JOBS_OF}"
    [plan] = json.loads(await cycles.fetchval(explained, jobs))
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def work(cycles: asyncpg.Connection, agent_id: UUID, job_id: int) -> None:
    """An assignment that is made, fails, and leaves everything as it was."""
    grants = [(agent_id, job_id, "{0}", "")]
    [row] = await write(cycles, [], grants, [], [(job_id, 0, 0, "{}", "{[0,1)}")])
    failed = (row["id"], agent_id, job_id, 0, "failed", "waiting", "x", None)
    await write(cycles, [failed], [], [], [(job_id, 0, 0, "{[0,1)}", "{}")])


async def write(cycles: asyncpg.Connection, *what: Any) -> store.Rows:
    """One cycle."""
    await session.begin(cycles, await feed.start(cycles))
    return await session.write(cycles, session.Written(*what))


@pytest.mark.usefixtures("held_snapshot")
async def test_while_a_snapshot_is_held_a_cycle_touches_no_more_than_before(
    farm: Farm, cycles: asyncpg.Connection
) -> None:
    first = (await farm.job("first", tasks=TASKS))["id"]
    later = [await farm.job(f"shot {n}", tasks=TASKS, parents=[first]) for n in range(JOBS)]
    jobs = [first, *(job["id"] for job in later)]
    agent_id = UUID((await farm.agent("a0"))["id"])
    await cycles.execute(HOLES)
    await work(cycles, agent_id, jobs[0])
    before, heard = await blocks(cycles, agent_id, jobs), await read(cycles, jobs)
    for _ in range(ROUNDS):
        await work(cycles, agent_id, jobs[0])
        await write(cycles, [], [], [], [(job_id, 0, 0, "{}", "{}") for job_id in jobs])
    after = await blocks(cycles, agent_id, jobs)
    assert after <= MORE * before, (before, after)
    again = await read(cycles, jobs)
    assert again <= MORE * heard, (heard, again)


@pytest.mark.usefixtures("held_snapshot")
async def test_a_release_touches_what_it_ends_and_no_other_assignment(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=2)
    agent_id = (await farm.agent("a0"))["id"]
    await farm.assign("a0")
    for statement in (FORMER, END, "ANALYZE assignments"):
        await execute(database, statement)
    values = {"because": "released", "caller": "test", "most_lost": None, "assignment_ids": [1]}
    explained = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {ending.TAKE_BACK.text}")
    async with app.state.engine.connect() as connection:
        for _ in range(2):  # the first one looks up as well what tables there are
            found = await connection.scalar(
                explained, values | {"agent_ids": [agent_id], "job_ids": [farm.jobs["shot"]]}
            )
            await connection.rollback()
    assert written(found[0]["Plan"]) <= FEW
