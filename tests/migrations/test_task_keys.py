"""Tasks lose the key to their job and get it back, with every task that has one where it was."""

from typing import Any

from alembic import command
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.schema import HEAD
from tests.farm import Farm
from tests.migrations.test_history_partitions import said, worked
from tests.migrations.test_job_progress import jobs_of_every_kind
from tests.migrations.test_migrations import alembic

BEFORE = "0016"

TASKS = """
SELECT job_id, ordinal, state, attempts, failures, assignment_id, time_started, time_finished
FROM tasks ORDER BY job_id, ordinal
"""
STRAY = """
INSERT INTO tasks (job_id, ordinal, state, assignment_id)
VALUES (1000, 0, 'done', 1), (1000, 1, 'waiting', 1)
"""
LEFT = "SELECT DISTINCT job_id FROM tasks ORDER BY job_id"
KEYS = "SELECT count(*) FROM pg_constraint WHERE conname = 'fk_tasks_job_id' AND convalidated"


def up(connection: AsyncConnection) -> Any:
    return connection.run_sync(lambda own: command.upgrade(alembic(own), HEAD))


def down(connection: AsyncConnection) -> Any:
    return connection.run_sync(lambda own: command.downgrade(alembic(own), BEFORE))


async def test_tasks_are_the_same_on_both_sides_but_for_those_whose_job_is_gone(
    farm: Farm, database: str
) -> None:
    await jobs_of_every_kind(farm)
    here, _, _, key, there, _, no_key, again = await worked(
        database,
        said(TASKS),
        said(STRAY),
        down,
        said(KEYS),
        said(TASKS),
        up,
        said(KEYS),
        said(TASKS),
    )
    assert (key, no_key) == ([(1,)], [(0,)])
    assert len({row[2] for row in here}) > 1
    assert here == there == again


async def test_deleted_jobs_take_their_tasks_with_them_on_both_sides(
    farm: Farm, database: str
) -> None:
    await jobs_of_every_kind(farm)
    one = said("DELETE FROM jobs WHERE title = 'done'")
    other = said("DELETE FROM jobs WHERE title = 'failed'")
    _, _, there, _, _, here = await worked(database, down, one, said(LEFT), up, other, said(LEFT))
    jobs = farm.jobs
    assert there == [(jobs["runs"],), (jobs["failed"],)]
    assert here == [(jobs["runs"],)]


async def test_who_works_goes_on_after_the_way_there_and_back(farm: Farm, database: str) -> None:
    await jobs_of_every_kind(farm)
    await worked(database, down, up)
    await farm.finish("a0")
    assert await farm.gets("a1") is not None
