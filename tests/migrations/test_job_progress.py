"""How far jobs are goes over into a table of its own, and back, with every count as it was."""

from typing import Any

from alembic import command
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.schema import HEAD
from app.db.tables import jobs_now
from tests.farm import Farm
from tests.migrations.test_history_partitions import said, worked
from tests.migrations.test_migrations import alembic

BEFORE = "0014"

OF_JOBS = """
SELECT id, title, tasks_total, tasks_done, tasks_failed, CAST(waiting AS text), time_started,
    time_finished
FROM {} ORDER BY id
"""


def up(connection: AsyncConnection) -> Any:
    return connection.run_sync(lambda own: command.upgrade(alembic(own), HEAD))


def down(connection: AsyncConnection) -> Any:
    return connection.run_sync(lambda own: command.downgrade(alembic(own), BEFORE))


async def jobs_of_every_kind(farm: Farm) -> None:
    """One that waits, one that runs, one that is done, one that failed, each with a past."""
    for title, tasks in (("runs", 5), ("done", 1), ("failed", 1), ("waits", 3)):
        await farm.job(title, tasks=tasks, requeue=0)
    for host in ("a0", "a1", "a2"):
        await farm.agent(host)
        await farm.assign(host)
    for host in ("a0", "a1"):
        await farm.finish(host)
    await farm.fail("a2")
    await farm.assign("a0")


async def test_counts_and_times_of_jobs_are_the_same_on_both_sides(
    farm: Farm, database: str
) -> None:
    await jobs_of_every_kind(farm)
    here, there = (said(OF_JOBS.format(place)) for place in ("jobs_now", "jobs"))
    first, _, before, _, again = await worked(database, here, down, there, up, here)
    assert len({row[3:6] for row in first}) > 1
    assert first == before == again


async def test_who_works_goes_on_after_the_way_there_and_back(farm: Farm, database: str) -> None:
    await jobs_of_every_kind(farm)
    await worked(database, down, up)
    await farm.finish("a0")
    assert (await farm.see_job("runs"))["tasks"]["done"] >= 1


async def test_the_view_has_the_columns_that_the_code_reads(database: str) -> None:
    def columns(connection: Connection) -> list[str]:
        return [column["name"] for column in inspect(connection).get_columns("jobs_now")]

    async def found(connection: AsyncConnection) -> list[str]:
        return await connection.run_sync(columns)

    [names] = await worked(database, found)
    assert sorted(names) == sorted(column.name for column in jobs_now.c)
