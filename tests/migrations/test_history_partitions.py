"""The history becomes partitions, and one table again, with every row in its place."""

from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.db.tables import history
from app.history import store
from tests.farm import Farm
from tests.migrations.test_migrations import alembic

ROWS = 1000
LIMIT = 150

# Over the ten days before now, with ids that are not without gaps.
FILL = f"""
INSERT INTO history (at, actor, action, job_id, job_queue_id, agent_id, assignment_id, detail)
SELECT now() - ({ROWS} - n) * interval '14 minutes', 'test', 'n' || n, nullif(n % 5, 0),
    nullif(n % 3, 0), CASE WHEN n % 2 = 0 THEN gen_random_uuid() END, n,
    jsonb_build_object('n', n)
FROM generate_series(1, {ROWS}) n
"""  # noqa: S608
BURN = "SELECT nextval('history_id_seq') FROM generate_series(1, 10)"
PLACES = """
SELECT CAST(CAST(tableoid AS regclass) AS text) AS place, count(*) FROM history GROUP BY 1
"""
WRITE = "INSERT INTO history (actor, action) VALUES ('test', 'after') RETURNING id"
CHECKS = "SELECT count(*) FROM pg_constraint WHERE conname = 'ck_history_whole'"


async def worked(database: str, *works: Callable[[AsyncConnection], Any]) -> list[Any]:
    """What each returns, in a transaction of its own."""
    engine = create_async_engine(database)
    found = []
    try:
        async with engine.connect() as connection:
            for work in works:
                found.append(await work(connection))
                await connection.commit()
    finally:
        await engine.dispose()
    return found


def up(connection: AsyncConnection) -> Any:
    return connection.run_sync(lambda own: command.upgrade(alembic(own), "0004"))


def down(connection: AsyncConnection) -> Any:
    return connection.run_sync(lambda own: command.downgrade(alembic(own), "0003"))


def said(statement: str) -> Callable[[AsyncConnection], Any]:
    async def work(connection: AsyncConnection) -> Any:
        result = await connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else None

    return work


async def pages(connection: AsyncConnection) -> list[list[tuple[Any, ...]]]:
    """Every page, of all and of what happened to one thing."""
    found = []
    for matching in ({}, {"job_id": 3}, {"job_queue_id": 2}, {"assignment_id": 77}):
        after = 0
        while page := await store.page(connection, matching, after, LIMIT):
            found.append([tuple(row.values()) for row in page])
            after = page[-1]["id"]
    return found


async def test_the_history_survives_with_every_page_as_it_was(database: str) -> None:
    _, _, _, before = await worked(database, down, said(FILL), said(BURN), pages)
    assert [len(page) for page in before[:7]] == [LIMIT] * 6 + [ROWS % LIMIT]
    _, after, places, written = await worked(database, up, pages, said(PLACES), said(WRITE))
    assert after == before
    assert places == [("history_whole", ROWS)]
    assert written == [(ROWS + 11,)]  # the former numbers go on
    _, plain, again, _, parted, last = await worked(
        database, down, pages, said(WRITE), up, pages, said(WRITE)
    )
    assert plain[:6] == before[:6]
    assert again == [(ROWS + 12,)]
    assert parted[:6] == before[:6]
    assert len(parted[6]) == ROWS % LIMIT + 2
    assert last == [(ROWS + 13,)]


async def test_what_was_written_on_many_days_is_one_table_after_the_way_down(database: str) -> None:
    count = "SELECT count(*), min(id), max(id) FROM history"
    fill = FILL.replace("interval '14 minutes'", "interval '-14 minutes'")
    _, places, before = await worked(database, said(fill), said(PLACES), said(count))
    assert len(places) > 7
    assert "history_default" in dict(places)
    _, after, _, last = await worked(database, down, said(count), up, said(count))
    assert before == after == last == [(ROWS, 1, ROWS)]


async def test_the_former_table_is_attached_without_looking_through_it(database: str) -> None:
    def watched(connection: Connection) -> list[str]:
        said: list[str] = []
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.add_log_listener(lambda _, message: said.append(str(message)))
        connection.execute(text("SET client_min_messages = debug1"))
        connection.commit()
        command.upgrade(alembic(connection), "0004")
        return said

    _, _, messages = await worked(
        database, down, said(FILL), lambda connection: connection.run_sync(watched)
    )
    implied = 'partition constraint for table "history_whole" is implied by existing constraints'
    assert any(implied in message for message in messages)
    assert not any("rewriting table" in message for message in messages)


async def test_an_exchange_that_fails_leaves_the_table_as_it_was(database: str) -> None:
    in_the_way = "CREATE TABLE history_default ()"
    await worked(database, down, said(FILL), said(in_the_way))
    with pytest.raises(ProgrammingError, match="already exists"):
        await worked(database, up)
    checks, rows = await worked(database, said(CHECKS), said("SELECT count(*) FROM history"))
    assert (checks, rows) == ([(0,)], [(ROWS,)])
    await worked(database, said("DROP TABLE history_default"), up, said(WRITE))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET actor = 'x'",
        "DELETE FROM {}",
        "UPDATE history SET at = at + interval '1 day'",
        "TRUNCATE history",
    ],
)
@pytest.mark.parametrize("former", [True, False])
async def test_no_partition_can_be_edited(database: str, statement: str, former: bool) -> None:
    later = FILL.replace("interval '14 minutes'", "interval '-14 minutes'")
    if former:
        await worked(database, down, said(FILL), up)
    _, found = await worked(database, said(later), said(PLACES))
    places = {place for place, _ in found}
    assert "history_default" in places
    assert ("history_whole" in places) == former
    assert len(places) >= (2 if former else 8)
    for place in places:
        with pytest.raises(IntegrityError, match="append-only"):
            await worked(database, said(statement.format(place)))


async def test_tasks_of_forgotten_assignments_find_one_on_the_way_down(
    farm: Farm, database: str
) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")

    def to_the_first(connection: AsyncConnection) -> Any:
        return connection.run_sync(lambda own: command.downgrade(alembic(own), "0001"))

    query = (
        "SELECT t.ordinal, a.ended_because"
        " FROM tasks t JOIN assignments a ON a.id = t.assignment_id"
    )
    *_, found = await worked(database, said("DELETE FROM assignments"), to_the_first, said(query))
    assert found == [(0, "completed")]


def test_the_listed_columns_are_those_of_the_former_table() -> None:
    assert [column.name for column in history.primary_key] == ["id", "at"]
