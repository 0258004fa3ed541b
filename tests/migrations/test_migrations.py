"""Each revision goes up, down and up again; the schema equals the models."""

from collections.abc import Callable

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.migrations import config
from app.db.records import in_models
from app.db.schema import HEAD
from app.db.tables import metadata
from tests.farm import Farm

REVISIONS = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]
REVISIONS.reverse()


async def run(database: str, work: Callable[[Connection], None]) -> None:
    engine = create_async_engine(database)
    async with engine.connect() as connection:
        await connection.run_sync(work)
        await connection.commit()
    await engine.dispose()


def alembic(connection: Connection) -> Config:
    made = config()
    made.attributes["connection"] = connection
    return made


def test_the_code_needs_the_newest_revision() -> None:
    assert REVISIONS[-1] == HEAD


def test_the_revisions_form_one_line() -> None:
    scripts = ScriptDirectory.from_config(config())
    assert scripts.get_heads() == [HEAD]
    assert len(scripts.get_bases()) == 1


@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_revision_goes_up_down_and_up_again(database: str, revision: str) -> None:
    def up_down_up(connection: Connection) -> None:
        command.downgrade(alembic(connection), "base")
        command.upgrade(alembic(connection), revision)
        command.downgrade(alembic(connection), "-1")
        command.upgrade(alembic(connection), revision)

    await run(database, up_down_up)


async def test_downgrading_to_nothing_leaves_nothing(database: str) -> None:
    def down(connection: Connection) -> None:
        command.downgrade(alembic(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        assert connection.scalar(text(left)) == 0

    await run(database, down)


async def test_the_schema_equals_the_models(database: str) -> None:
    def compare(connection: Connection) -> None:
        context = MigrationContext.configure(connection, opts={"include_name": in_models})
        assert compare_metadata(context, metadata) == []

    await run(database, compare)


async def test_every_check_of_the_models_is_in_the_schema(database: str) -> None:
    def compare(connection: Connection) -> None:
        found = connection.scalars(text("SELECT conname FROM pg_constraint WHERE contype = 'c'"))
        checks = {
            constraint.name
            for table in metadata.tables.values()
            for constraint in table.constraints
            if constraint.__visit_name__ == "check_constraint"
        }
        assert set(found) >= checks

    await run(database, compare)


@pytest.mark.parametrize("statement", ["UPDATE history SET actor = 'x'", "DELETE FROM history"])
async def test_the_history_cannot_be_edited(farm: Farm, database: str, statement: str) -> None:
    await farm.queue("/films")

    def edit(connection: Connection) -> None:
        connection.execute(text(statement))

    with pytest.raises(IntegrityError, match="append-only"):
        await run(database, edit)


@pytest.mark.parametrize(
    "values",
    [
        "('a/b', '', 0, 10, NULL, NULL)",
        "('', '', 0, 10, NULL, NULL)",
        "('q', '', 1001, 10, NULL, NULL)",
        "('q', '', 0, 1000001, NULL, NULL)",
        "('q', '', 0, -1, NULL, NULL)",
        "('q', '', 0, 10, -1, NULL)",
        "('q', '', 0, 10, NULL, -1)",
        "('q', '', 0, 10, 3, 2)",
    ],
)
async def test_what_the_schemas_refuse_the_database_refuses_too(database: str, values: str) -> None:
    columns = "name, fullpath, priority, weight, minimum_agents, maximum_agents"

    def add(connection: Connection) -> None:
        connection.execute(text(f"INSERT INTO jobqueues ({columns}) VALUES {values}"))  # noqa: S608

    with pytest.raises(IntegrityError):
        await run(database, add)


@pytest.mark.parametrize("found", ["0000_another_release", None])
async def test_a_service_on_a_schema_that_it_does_not_know_is_not_ready_and_assigns_nothing(
    farm: Farm, database: str, found: str | None
) -> None:
    await farm.agent("a0")
    await farm.job("shot")

    def forge(connection: Connection) -> None:
        if found is None:
            connection.execute(text("DROP TABLE alembic_version"))
        else:
            connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": found})

    await run(database, forge)
    ready = await farm.client.get("/readyz")
    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
    assert "farmqueue migrate" in ready.json()["detail"]
    refused = await farm.ask("a0")
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 5


@pytest.mark.parametrize(
    ("found", "runs_from", "status"),
    [
        ("9999", HEAD, 200),
        ("9999", "0001", 200),
        ("9999", "9999", 503),
        ("0001", "0001", 503),
    ],
    ids=[
        "a later schema that this release runs on",
        "a later schema that many releases run on",
        "a later schema that took something away",
        "an earlier schema",
    ],
)
async def test_a_service_runs_on_its_own_schema_and_on_later_ones_that_keep_what_it_needs(
    farm: Farm, database: str, found: str, runs_from: str, status: int
) -> None:
    await farm.agent("a0")
    await farm.job("shot")

    def forge(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": found})
        connection.execute(text("UPDATE schema_fits SET runs_from = :v"), {"v": runs_from})

    await run(database, forge)
    assert (await farm.client.get("/readyz")).status_code == status
    assert (await farm.ask("a0")).status_code == status
    assert (await farm.client.post("/jobqueues", json={"name": "q"})).status_code in {201, status}
