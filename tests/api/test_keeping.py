"""What is kept and for how long: the history by days, ended assignments by the day they ended."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app import metrics
from app.db.driver import connect
from app.db.roles import KEEPING_LOCK
from app.history import keeping
from app.history.keeping import keep, keeper, midnight
from app.main import create_app
from app.settings import Settings
from tests.farm import Farm
from tests.tokens import AUTH

# Far from any day on which this runs: what the service itself writes is long past.
TODAY = date(2040, 1, 15)
DAYS = 10
RECORD = "INSERT INTO history (at, actor, action) VALUES ($1, 'test', 'day')"
WHERE = "SELECT CAST(CAST(tableoid AS regclass) AS text) FROM history WHERE at = $1"


@pytest.fixture
def settings() -> Settings:
    """The service's own keeper leaves alone what the tests are about."""
    return Settings(history_days=0)


@pytest.fixture
async def own(database: str) -> AsyncIterator[asyncpg.Connection]:
    async with keeper(database) as connection:
        yield connection


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database)
    yield connection
    await connection.close()


def day(offset: int) -> date:
    return TODAY + timedelta(days=offset)


def name(offset: int) -> str:
    return f"history_{day(offset):%Y%m%d}"


def names(first: int, last: int) -> list[str]:
    return [name(offset) for offset in range(first, last + 1)]


def noon(offset: int) -> datetime:
    return midnight(day(offset)) + timedelta(hours=12)


async def partitions(connection: asyncpg.Connection) -> list[str]:
    """Those of the days around TODAY, in their order."""
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
        " AND relname >= 'history_2039' AND relname < 'history_d' ORDER BY relname"
    )
    return [row["relname"] for row in rows]


async def made(connection: asyncpg.Connection, first: int, last: int) -> None:
    """Let there be a partition for each of these days, with a row at its noon."""
    for offset in range(first, last + 1, keeping.AHEAD_DAYS + 1):
        await keep(connection, 0, day(offset))
    for offset in range(first, last + 1):
        await connection.execute(RECORD, noon(offset))


async def test_partitions_of_today_and_the_next_seven_days_are_made(
    own: asyncpg.Connection,
) -> None:
    await keep(own, DAYS, TODAY)
    assert await partitions(own) == names(0, 7)
    await keep(own, DAYS, day(1))
    assert await partitions(own) == names(0, 8)


async def test_a_new_database_has_partitions_from_its_first_day_on(
    farm: Farm, own: asyncpg.Connection
) -> None:
    await farm.queue("/films")
    found = await own.fetchrow(
        "SELECT CAST(CAST(tableoid AS regclass) AS text) AS name, at FROM history"
    )
    assert found["name"] == f"history_{found['at']:%Y%m%d}"


async def test_each_row_lies_in_the_partition_of_its_day(own: asyncpg.Connection) -> None:
    await keep(own, DAYS, TODAY)
    last = timedelta(microseconds=1)
    for offset in range(8):
        for moment in (midnight(day(offset)), noon(offset), midnight(day(offset + 1)) - last):
            await own.execute(RECORD, moment)
            assert await own.fetchval(WHERE, moment) == name(offset)


async def test_a_day_that_is_too_old_goes_and_nothing_younger(own: asyncpg.Connection) -> None:
    await made(own, -12, 0)
    await keep(own, DAYS, TODAY)
    assert await partitions(own) == names(-DAYS, 7)
    rows = await own.fetch("SELECT at FROM history ORDER BY id")
    assert [row["at"] for row in rows] == [noon(offset) for offset in range(-DAYS, 1)]


async def test_zero_days_keep_everything(own: asyncpg.Connection, farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    await made(own, -12, 0)
    assert await keep(own, 0, day(365)) is False
    assert set(await partitions(own)) >= set(names(-12, 0))
    assert await own.fetchval("SELECT count(*) FROM assignments") == 1


async def test_a_late_replica_does_nothing_while_another_keeps(
    own: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await made(own, -12, -11)
    before = await partitions(own)
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", KEEPING_LOCK)
        await keep(own, DAYS, TODAY)
        assert await partitions(own) == before
    await keep(own, DAYS, TODAY)
    assert await partitions(own) == sorted({*before, *names(0, 7)} - set(names(-12, -11)))


async def test_rows_of_a_day_without_a_partition_are_in_the_default_and_listed_in_order(
    farm: Farm, own: asyncpg.Connection
) -> None:
    await farm.queue("/films")
    await own.execute(RECORD, noon(3))
    await farm.queue("/tests")
    assert await own.fetchval(WHERE, noon(3)) == "history_default"
    first = await farm.get("/history?limit=2")
    rest = await farm.get(f"/history?limit=2&cursor={first['next']}")
    told = [row["action"] for row in first["items"] + rest["items"]]
    assert told == ["jobqueue.created", "day", "jobqueue.created"]


async def test_a_day_with_rows_in_the_default_is_left_out_and_told(own: asyncpg.Connection) -> None:
    await own.execute(RECORD, noon(3))
    with capture_logs() as logs:
        await keep(own, DAYS, TODAY)
    assert [(log["event"], log["day"]) for log in logs] == [
        ("history_day_in_default", "2040-01-18")
    ]
    assert await partitions(own) == names(0, 2) + names(4, 7)


async def test_rows_in_the_default_go_when_the_last_is_too_old(own: asyncpg.Connection) -> None:
    await own.execute(RECORD, noon(0))
    await keep(own, DAYS, day(DAYS))
    assert await own.fetchval("SELECT count(*) FROM history_default") == 1
    await keep(own, DAYS, day(DAYS + 1))
    assert await own.fetchval("SELECT count(*) FROM history") == 0
    await own.execute(RECORD, noon(100))
    assert await own.fetchval(WHERE, noon(100)) == "history_default"


async def test_ended_assignments_go_when_they_are_too_old_active_and_younger_ones_stay(
    farm: Farm, own: asyncpg.Connection
) -> None:
    await farm.job("shot", tasks=3)
    held = {}
    for hostname in ("old", "young", "active"):
        await farm.agent(hostname)
        held[hostname] = await farm.assign(hostname)
    assert all(held.values())
    for hostname in ("old", "young"):
        assert (await farm.report(hostname)).status_code == 200
    await own.execute(
        "UPDATE assignments SET ended_at = $1 WHERE id = $2",
        midnight(day(-DAYS)),
        farm.held["young"]["id"],
    )
    assert await keep(own, DAYS, TODAY) is True
    assert await keep(own, DAYS, TODAY) is False
    left = [row["id"] for row in await own.fetch("SELECT id FROM assignments ORDER BY id")]
    assert left == [farm.held["young"]["id"], farm.held["active"]["id"]]

    tasks = await farm.see_tasks("shot")
    expected = [None, farm.agents["young"], farm.agents["active"]]
    assert [task["agent_id"] for task in tasks] == expected
    assert [task["state"] for task in tasks] == ["done", "done", "running"]
    assert (await farm.report("old")).status_code == 404
    await farm.finish("active")
    assert (await farm.see_job("shot"))["state"] == "done"


async def test_a_round_deletes_no_more_than_its_share_and_the_lowest_ids_first(
    farm: Farm, own: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "ASSIGNMENTS_A_ROUND", 2)
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    for _ in range(3):
        await farm.assign("a0")
        await farm.finish("a0")
    assert await keep(own, DAYS, TODAY) is True
    assert await own.fetchval("SELECT array_agg(id) FROM assignments") == [3]
    assert await keep(own, DAYS, TODAY) is True
    assert await own.fetchval("SELECT count(*) FROM assignments") == 0
    assert await keep(own, DAYS, TODAY) is False


async def test_one_that_is_still_active_does_not_slow_the_deletion_of_those_behind_it(
    farm: Farm, own: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "ASSIGNMENTS_A_ROUND", 2)
    await farm.job("shot", tasks=4)
    for hostname in ("long", "short"):
        await farm.agent(hostname)
    await farm.assign("long")
    for _ in range(3):
        await farm.assign("short")
        await farm.finish("short")
    while await keep(own, DAYS, TODAY):
        pass
    assert await own.fetchval("SELECT array_agg(id) FROM assignments") == [1]


async def test_the_farm_goes_on_while_the_keeper_waits_for_a_lock_and_gives_up(
    farm: Farm, own: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await made(own, -12, -12)
    await farm.job("done")
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    async with other.transaction():
        await other.execute("SELECT FROM history")  # as a dump does, for as long as it takes
        with capture_logs() as logs:
            keeps = asyncio.create_task(keep(own, DAYS, TODAY))
            while not keeps.done():
                await farm.queue(f"/{len(farm.queues)}")
            await keeps
    assert name(-12) in await partitions(own)
    failed = [log for log in logs if log["event"] == "keeper_failed"]
    assert {log["step"] for log in failed} == {"make", "drop"}
    assert all("lock timeout" in log["error"] for log in failed)
    # What needs no such lock was done all the same.
    assert await own.fetchval("SELECT count(*) FROM assignments") == 0
    assert len(farm.queues) > 1
    await keep(own, DAYS, TODAY)
    assert await partitions(own) == names(-DAYS, -5) + names(0, 7)


async def test_partitions_are_made_beside_transactions_that_write(
    own: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    await keep(own, 0, TODAY)
    async with other.transaction():
        await other.execute(RECORD, noon(0))
        with capture_logs() as logs:
            await keep(own, 0, day(1))
        assert logs == []
        assert await partitions(own) == names(0, 8)


async def test_a_schema_of_another_release_is_left_alone(own: asyncpg.Connection) -> None:
    await made(own, -12, -12)
    await own.execute("UPDATE alembic_version SET version_num = '0000_another_release'")
    before = await partitions(own)
    with capture_logs() as logs:
        await keep(own, DAYS, TODAY)
    assert [log["step"] for log in logs] == ["make", "drop", "forget"]
    assert await partitions(own) == before


async def test_the_service_keeps_by_itself(own: asyncpg.Connection, database: str) -> None:
    await keep(own, 0, date(2001, 1, 1))
    app = create_app(Settings(history_days=1), database)
    async with app.router.lifespan_context(app):
        while await own.fetchval("SELECT to_regclass('history_20010101')") is not None:
            await asyncio.sleep(0.02)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            headers=AUTH, transport=transport, base_url="http://farm"
        ) as client:
            assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize("planned", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("column", [None, "job_id", "job_queue_id"])
async def test_a_page_is_a_merge_over_the_indexes_of_the_days(
    own: asyncpg.Connection, column: str | None, planned: str
) -> None:
    await keep(own, 0, TODAY)
    await own.execute(
        "INSERT INTO history (at, actor, action, job_id, job_queue_id) SELECT"
        " CAST($1 AS timestamptz) + n * interval '3 minutes', 'test', 'day', n % 7 + 1, n % 7 + 1"
        " FROM generate_series(0, 3500) n",
        midnight(TODAY),
    )
    await own.execute("ANALYZE history")
    await own.execute(f"SET plan_cache_mode = {planned}")
    also = "" if column is None else f"AND {column} = $3"
    kinds, values = ("", "") if column is None else (", bigint", ", 3")
    await own.execute(
        f"PREPARE page (bigint, bigint{kinds}) AS"  # noqa: S608
        f" SELECT * FROM history WHERE id > $1 {also} ORDER BY id LIMIT $2"
    )
    rows = await own.fetch(f"EXPLAIN (ANALYZE) EXECUTE page (100, 101{values})")
    plan = "\n".join(row[0] for row in rows)
    big = [line for line in plan.splitlines() if f"on history_{TODAY:%Y}" in line]
    assert "Merge Append" in plan, plan
    assert len(big) == 8, plan
    assert all("Index Scan using" in line for line in big), plan


def kept_at() -> float:
    found = REGISTRY.get_sample_value("farmqueue_keeper_success_timestamp_seconds")
    assert found is not None
    return found


async def test_only_a_round_that_left_nothing_undone_is_a_success(
    own: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> bool:
        raise asyncpg.LockNotAvailableError("held")

    metrics.KEPT.set(0)
    with monkeypatch.context() as broken:
        broken.setattr(keeping, "_drop_old", fails)
        await keep(own, 1, TODAY)
    assert kept_at() == 0
    await keep(own, 1, TODAY)
    assert kept_at() > 0
