"""`farmqueue migrate` beside those who work."""

import asyncio
import time
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from fastapi import FastAPI
from sqlalchemy import Connection

from app.db.migrations import upgrade_at
from app.settings import Settings
from tests.conftest import execute
from tests.farm import Farm
from tests.migrations.test_migrations import alembic, run
from tests.upgrades.releases import EXPAND, NEXT, release

# The build of an index that waits for a transaction to end.
BUILDS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event = 'virtualxid'
"""
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
# As a build leaves it that was broken off.
BREAK = """
CREATE INDEX {name} ON {table} ({column});
UPDATE pg_index SET indisvalid = false WHERE indexrelid = CAST('{name}' AS regclass)
"""
BUILT_BESIDE = [
    ("0002", "ix_jobs_not_finished", "jobs"),
    ("0002", "ix_history_of_assignment", "history"),
    ("0003", "history_whole_pkey", "history"),
    ("0005", "ix_tasks_troubled", "tasks"),
]


async def fetchval(database: str, statement: str) -> object:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_a_migration_that_waits_for_a_reader_lets_the_farm_work_and_goes_through_later(
    farm: Farm, app: FastAPI, database: str, tmp_path: Path
) -> None:
    plain = database.replace("+asyncpg", "")
    await farm.job("shot", tasks=1000)
    await farm.agent("a0")
    reader = await asyncpg.connect(plain, server_settings={"application_name": "a long reader"})
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT count(*) FROM jobs")
    migration = asyncio.create_task(release(tmp_path / "next", EXPAND).migrate(plain))
    longest = 0.0
    while longest <= 1:  # until somebody has waited: for ever, were it for the reader's end
        since = time.monotonic()
        assert await farm.assign("a0") is not None
        await farm.finish("a0")
        longest = max(longest, time.monotonic() - since)
        await asyncio.sleep(0.01)
    assert not migration.done()
    await reading.rollback()
    await reader.close()
    code, said = await migration
    assert code == 0, said
    assert "migration_waits" in said
    assert "a long reader" in said
    assert await fetchval(database, "SELECT version_num FROM alembic_version") == NEXT
    assert await fetchval(database, INVALID) == 0
    assert await farm.assign("a0") is not None
    assert app.state.background


async def test_an_index_that_waits_for_a_dump_is_built_once_and_holds_nobody_up(
    farm: Farm, database: str, tmp_path: Path
) -> None:
    plain = database.replace("+asyncpg", "")
    await farm.job("shot", tasks=10)
    await farm.agent("a0")
    dump = await asyncpg.connect(plain)
    await dump.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobqueues")
    steps = EXPAND[EXPAND.index("with op") :].replace("(colour)", "(state)")
    migration = asyncio.create_task(release(tmp_path / "next", steps).migrate(plain))
    while not await fetchval(plain, BUILDS):
        await farm.heartbeat("a0")
        await asyncio.sleep(0.05)
    for _ in range(20):
        await farm.heartbeat("a0")  # would wait for ever, were it for the end of the dump
    assert not migration.done()
    await dump.close()
    code, said = await migration
    assert (code, "migration_waits" in said) == (0, False), said
    assert await fetchval(database, INVALID) == 0


async def test_two_that_migrate_at_once_do_it_one_after_the_other(
    database: str, tmp_path: Path
) -> None:
    both = release(tmp_path / "next", EXPAND)
    plain = database.replace("+asyncpg", "")
    found = await asyncio.gather(both.migrate(plain), both.migrate(plain))
    assert [code for code, _ in found] == [0, 0], found
    assert await fetchval(database, INVALID) == 0


@pytest.mark.parametrize(("before", "name", "table"), BUILT_BESIDE)
async def test_an_index_that_a_broken_migration_left_invalid_is_built_anew(
    database: str, before: str, name: str, table: str
) -> None:
    def down(connection: Connection) -> None:
        command.downgrade(alembic(connection), before)

    await run(database, down)
    await execute(
        database,
        BREAK.format(name=name, table=table, column="job_id" if table == "tasks" else "id"),
    )
    assert await fetchval(database, INVALID) == 1
    await upgrade_at(Settings(), database)
    assert await fetchval(database, INVALID) == 0
