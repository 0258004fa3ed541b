"""No key holds tasks to their job: they go where it goes, whoever takes it away, and however."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from app.db.driver import FARM_LOCK, connect
from app.scheduler import feed, session
from tests.conftest import SERVICE, as_role
from tests.farm import Farm

LEFT = "SELECT DISTINCT job_id FROM tasks ORDER BY job_id"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"

Delete = Callable[[Farm, str, int], Awaitable[None]]


@pytest.fixture
async def psql(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database)
    yield connection
    await connection.close()


async def left(psql: asyncpg.Connection) -> list[int]:
    """The jobs of which there are tasks."""
    return [row["job_id"] for row in await psql.fetch(LEFT)]


async def worked_on(farm: Farm) -> list[int]:
    """Three jobs; of each a task is done, one failed, and one was given back. Nobody works now."""
    await farm.agent("a0")
    for title in ("first", "second", "third"):
        await farm.job(title, tasks=4, requeue=0)
        await farm.assign("a0")
        await farm.finish("a0")
        await farm.assign("a0")
        await farm.fail("a0")
        assert await farm.gets("a0") == title
        await farm.post(f"/assignments/{farm.held['a0']['id']}/release")
        await farm.post(f"/jobs/{farm.jobs[title]}/pause")
    return list(farm.jobs.values())


async def by_the_api(farm: Farm, _: str, job_id: int) -> None:
    assert (await farm.client.delete(f"/jobs/{job_id}")).status_code == 204


def by_the_role(role: str | None) -> Delete:
    async def delete(_: Farm, database: str, job_id: int) -> None:
        connection = await connect(as_role(database, role) if role else database)
        await connection.execute("DELETE FROM jobs WHERE id = $1", job_id)
        await connection.close()

    return delete


DELETES: dict[str, Delete] = {
    "by the API": by_the_api,
    "by the owner in psql": by_the_role(None),
    "by the role of the service": by_the_role(SERVICE),
}


@pytest.mark.parametrize("how", DELETES)
async def test_a_job_that_is_deleted_takes_its_tasks_with_it_and_no_others(
    farm: Farm, psql: asyncpg.Connection, database: str, how: str
) -> None:
    first, second, third = await worked_on(farm)
    assert await left(psql) == [first, second, third]
    await DELETES[how](farm, database, second)
    assert await left(psql) == [first, third]


async def test_a_job_that_is_deleted_at_work_leaves_no_task(
    farm: Farm, psql: asyncpg.Connection
) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    assert await farm.gets("a0") == "shot"
    await by_the_api(farm, "", farm.jobs["shot"])
    assert await left(psql) == []
    assert (await farm.report("a0")).status_code == 409


async def test_jobs_that_one_statement_deletes_take_theirs(
    farm: Farm, psql: asyncpg.Connection
) -> None:
    first, *_ = await worked_on(farm)
    await psql.execute("DELETE FROM jobs WHERE id > $1", first)
    assert await left(psql) == [first]


async def test_a_deletion_that_waits_takes_the_tasks_that_came_meanwhile(
    farm: Farm, psql: asyncpg.Connection, database: str
) -> None:
    """Its statement began before they were there."""
    job_id = (await farm.job("shot", tasks=2))["id"]
    other = await connect(database)
    async with other.transaction():
        await other.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
        deleting = asyncio.create_task(psql.execute("DELETE FROM jobs"))
        while not await other.fetchval(WAITS):
            await asyncio.sleep(0.01)
        await other.execute(
            "INSERT INTO tasks (job_id, ordinal, state, assignment_id) VALUES ($1, 0, 'done', 1)",
            job_id,
        )
    await deleting
    assert await left(other) == []
    await other.close()


async def test_a_deletion_that_sees_the_farm_before_a_cycle_is_refused(
    farm: Farm, psql: asyncpg.Connection
) -> None:
    """It would not see the tasks that it has to take away."""
    await farm.agent("a0")
    job_id = (await farm.job("shot", tasks=2, requeue=0))["id"]
    old = psql.transaction(isolation="repeatable_read")
    await old.start()
    await psql.execute("SELECT count(*) FROM jobs")
    await farm.assign("a0")
    await farm.fail("a0")
    with pytest.raises(asyncpg.SerializationError):
        await psql.execute("DELETE FROM jobs")
    await old.rollback()
    assert await left(psql) == [job_id]


# --- truncation ---


@pytest.mark.parametrize(
    "tables", ["jobs", "jobqueues", "jobs, tasks", "tasks, jobs", "jobs, agents, assignments"]
)
async def test_whoever_empties_the_jobs_empties_the_tasks(
    farm: Farm, psql: asyncpg.Connection, tables: str
) -> None:
    await worked_on(farm)
    await psql.execute(f"TRUNCATE {tables} CASCADE")
    assert await left(psql) == []


async def test_whoever_empties_the_jobs_empties_the_tasks_that_his_snapshot_does_not_show(
    farm: Farm, psql: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    await farm.job("shot", tasks=2)
    async with psql.transaction(isolation="repeatable_read"):
        await psql.execute("SELECT count(*) FROM agents")
        await farm.assign("a0")
        await farm.finish("a0")
        await psql.execute("TRUNCATE jobs CASCADE")
    assert await left(psql) == []


async def test_jobs_are_not_emptied_under_a_cycle_that_gives_their_tasks_out(
    farm: Farm, psql: asyncpg.Connection, cycles: asyncpg.Connection
) -> None:
    await farm.agent("a0")
    job_id = (await farm.job("shot", tasks=2))["id"]
    await session.begin(cycles, await feed.start(cycles))
    with pytest.raises(asyncpg.LockNotAvailableError, match="wait for the farm lock first") as told:
        await psql.execute("TRUNCATE jobs CASCADE")
    assert f"pg_advisory_xact_lock({FARM_LOCK})" in told.value.hint
    numbers = [(job_id, 0, 0, "{}", "{[0,1)}")]
    grants = [(UUID(farm.agents["a0"]), job_id, "{0}", "")]
    await session.write(cycles, session.Written(grants=grants, jobs=numbers))
    assert await left(psql) == [job_id]
    async with psql.transaction():
        await psql.execute(f"SELECT pg_advisory_xact_lock({FARM_LOCK})")
        await psql.execute("TRUNCATE jobs CASCADE")
    assert await left(psql) == []
    assert await farm.assign("a0") is None
