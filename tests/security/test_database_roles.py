"""The owner of the tables migrates; the service runs, and a reader reads, as roles with less."""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from alembic import command
from sqlalchemy import Connection, make_url

from app.history.keeping import AHEAD_DAYS
from tests.chaos.crew import Ledger, crew
from tests.conftest import _database, as_role, execute
from tests.farm import Farm
from tests.migrations.test_migrations import alembic, run
from tests.processes import free_port, service, spawn
from tests.tokens import AUTH
from tests.upgrades.releases import release

TODAY = datetime.now(UTC).date()


@dataclass(frozen=True)
class Place:
    """A database that `owner` owns; with the roles that it gave what they need."""

    url: str  # a superuser's
    owner: str
    service: str
    reader: str

    def at(self, role: str) -> str:
        return as_role(self.url, role)

    def types(self, role: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "farmqueue", *words],
            env=os.environ | {"FARMQUEUE_DATABASE_URL": plain(self.at(role))},
            capture_output=True,
            text=True,
            check=False,
        )

    def migrate(self, role: str, *more: str) -> subprocess.CompletedProcess[str]:
        named = ("--service-role", self.service, "--read-role", self.reader)
        return self.types(role, "migrate", *(more or named))

    async def said(self, role: str, statement: str) -> Any:
        async with connected(self.at(role)) as connection:
            return await connection.fetchval(statement)


def plain(url: str) -> str:
    return url.replace("+asyncpg", "")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(plain(url))
    try:
        yield connection
    finally:
        await connection.close()


ROLES = ("Owner", "service", "read er")


@pytest.fixture(scope="module")
async def migrated(server: str) -> AsyncIterator[Place]:
    """What each test has a copy of."""
    for role in ROLES:
        await execute(server, f'CREATE ROLE "{role}" LOGIN')
    async with made(server, "TEMPLATE template1") as found:
        done = found.migrate(found.owner)
        assert done.returncode == 0, done.stderr
        yield found
    for role in ROLES:
        await execute(server, f'DROP ROLE "{role}"')


@asynccontextmanager
async def made(server: str, how: str) -> AsyncIterator[Place]:
    name = f"farm_{uuid4().hex}"
    await execute(server, f'CREATE DATABASE {name} OWNER "{ROLES[0]}" {how}')
    yield Place(_database(server, name), *ROLES)
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def copied(migrated: Place) -> str:
    return f"TEMPLATE {make_url(migrated.url).database} STRATEGY file_copy"


@pytest.fixture
async def place(server: str, migrated: Place) -> AsyncIterator[Place]:
    async with made(server, copied(migrated)) as found:
        yield found


@pytest.fixture
async def bare(server: str, migrated: Place) -> AsyncIterator[Place]:
    """A database with nothing in it yet."""
    assert migrated.owner == ROLES[0]
    async with made(server, "TEMPLATE template1") as found:
        yield found


@pytest.fixture(scope="module")
async def unchanged(server: str, migrated: Place) -> AsyncIterator[Place]:
    """One for all who are refused."""
    async with made(server, copied(migrated)) as found:
        await execute(
            found.url, "INSERT INTO history (at, actor, action) VALUES ('2300-01-01', 'x', 'y')"
        )
        yield found


async def test_a_service_of_the_lesser_role_serves_a_farm_and_keeps_its_history(
    place: Place, tmp_path: Path
) -> None:
    last = TODAY + timedelta(days=AHEAD_DAYS)
    await place.said(place.owner, "SELECT make_history_day('2001-01-01')")
    await place.said(place.owner, f"DROP TABLE history_{last:%Y%m%d}")
    ledger = Ledger()
    with service(place.at(place.service), tmp_path / "log", history_days=1) as url:
        async with httpx.AsyncClient(base_url=url, headers=AUTH) as client:
            farm = Farm(client)
            await farm.queue("/films", maximum_agents=3)
            jobs = [await farm.job(f"j{n}", tasks=20, queue="/films") for n in range(4)]
            ids = [(await farm.agent(f"a{n}"))["id"] for n in range(6)]
            async with crew(ids, [url], ledger, random.Random(1), effort=0.01) as working:
                for job in jobs:
                    while (await farm.see_job(job["title"]))["state"] in {"queued", "running"}:
                        working.check()
                        await asyncio.sleep(0.05)
                await working.finish()
        while await place.said(place.owner, "SELECT to_regclass('history_20010101')"):
            await asyncio.sleep(0.05)
        made = f"SELECT to_regclass('history_{last:%Y%m%d}')"
        while await place.said(place.owner, made) is None:
            await asyncio.sleep(0.05)
    assert ledger.statuses() <= {200, 204, None}  # None: a heartbeat that its agent's end cut off
    assert "permission denied" not in (tmp_path / "log").read_text()
    audit = place.types(place.reader, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
    assert audit.stderr.startswith("0 findings; ")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine ()",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "DROP TABLE jobs",
        "DROP TABLE history_default",
        "TRUNCATE jobs",
        "TRUNCATE history",
        "ALTER TABLE jobs ADD COLUMN mine int",
        "ALTER TABLE history DISABLE TRIGGER ALL",
        "ALTER TABLE jobs DISABLE TRIGGER USER",
        "SET session_replication_role = replica",
        "UPDATE history SET actor = 'nobody'",
        "DELETE FROM history",
        "UPDATE history_default SET actor = 'nobody'",
        "DELETE FROM history_default",
        "INSERT INTO history_default (at, actor, action) VALUES (now(), 'x', 'y')",
        "UPDATE alembic_version SET version_num = '0001'",
        "UPDATE schema_fits SET runs_from = '0001'",
        "SELECT setval('assignments_id_seq', 1)",
        "SELECT make_history_part('history_mine')",
        f"SELECT drop_history_part('history_{TODAY:%Y%m%d}')",
        "SELECT drop_history_part('jobs')",
        "SELECT renew_history_default(now())",
        "SELECT make_history_day('2300-01-01')",
        "SELECT move_ids(1, -1)",
    ],
)
async def test_the_service_changes_no_table_and_nothing_that_was_written_down(
    unchanged: Place, statement: str
) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await unchanged.said(unchanged.service, statement)
    told = ("permission denied", "must be owner", "owner", "no part", "never back")
    assert any(word in str(refused.value) for word in told), refused.value
    assert await unchanged.said(unchanged.owner, "SELECT count(*) FROM history") == 1


async def test_no_table_of_the_callers_stands_in_for_one_of_the_farm(place: Place) -> None:
    """A function of the owner's looks in the farm's schema alone."""
    async with connected(place.at(place.service)) as connection:
        await connection.execute("CREATE TEMP TABLE history_default (at timestamptz, id int)")
        await connection.execute("INSERT INTO history_default VALUES ('2001-01-01', 1)")
        assert not await connection.fetchval("SELECT renew_history_default('2002-01-01')")
        assert await connection.fetchval("SELECT count(*) FROM pg_temp.history_default") == 1


async def test_ids_move_on_and_never_back(place: Place) -> None:
    await place.said(place.service, "SELECT move_ids(5000, 100)")
    await place.said(place.service, "SELECT move_ids(20, 100)")
    next_of = "SELECT nextval(pg_get_serial_sequence('{}', 'id'))"
    assert await place.said(place.service, next_of.format("assignments")) == 5001
    assert await place.said(place.service, next_of.format("jobs")) == 201


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO jobqueues (name, fullpath) VALUES ('q', '/q')",
        "UPDATE jobs SET title = 'x'",
        "DELETE FROM tasks",
        "TRUNCATE agents",
        "CREATE TABLE mine ()",
        "SELECT nextval('jobs_id_seq')",
        "SELECT digest FROM tokens",
        "SELECT * FROM tokens",
        "SELECT tokens FROM tokens",
        "SELECT answer FROM idempotency_keys",
        "SELECT make_history_day(current_date)",
        "SELECT drop_history_part('history_default')",
        "SELECT renew_history_default('2001-01-01')",
        "SELECT move_ids(1, 1)",
    ],
)
async def test_a_reader_writes_nothing_and_sees_no_secret(unchanged: Place, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await unchanged.said(unchanged.reader, statement)


async def test_a_reader_sees_all_else_tokens_names_too(unchanged: Place) -> None:
    tables = await unchanged.said(
        unchanged.owner,
        "SELECT array_agg(relname) FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND NOT relispartition AND relnamespace = CAST('public' AS regnamespace)",
    )
    for table in set(tables) - {"tokens", "idempotency_keys"}:
        await unchanged.said(unchanged.reader, f"SELECT count(*) FROM {table}")  # noqa: S608
    assert await unchanged.said(unchanged.reader, "SELECT array_agg(name) FROM tokens") is None


async def test_a_second_migration_takes_back_what_was_given_by_hand(place: Place) -> None:
    for right in ("TRUNCATE ON jobs", "DELETE ON history", "SELECT ON tokens"):
        for role in (place.service, place.reader):
            await place.said(place.owner, f'GRANT {right} TO "{role}"')
    done = place.migrate(place.owner)
    assert done.returncode == 0, done.stderr
    for role, statement in (
        (place.service, "TRUNCATE jobs"),
        (place.service, "DELETE FROM history"),
        (place.reader, "SELECT digest FROM tokens"),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await place.said(role, statement)
    assert await place.said(place.service, "SELECT count(*) FROM tokens") == 0


async def test_what_a_later_revision_makes_is_the_roles_at_once(
    place: Place, tmp_path: Path
) -> None:
    steps = 'op.execute("CREATE TABLE later (id bigint GENERATED ALWAYS AS IDENTITY, n int)")'
    code, said = await release(tmp_path / "next", steps).migrate(plain(place.at(place.owner)))
    assert code == 0, said
    await place.said(place.service, "INSERT INTO later (n) VALUES (1)")
    assert await place.said(place.reader, "SELECT n FROM later") == 1
    assert not await place.said(
        place.service, "SELECT has_table_privilege('later', 'TRUNCATE, REFERENCES, TRIGGER')"
    )


@pytest.mark.parametrize("kind", ["missing", "the owner", "a superuser"])
async def test_a_role_that_cannot_have_less_is_refused_before_anything_is_done(
    bare: Place, kind: str
) -> None:
    name = {"missing": "nobody_here", "the owner": bare.owner, "a superuser": "postgres"}[kind]
    done = bare.migrate(bare.owner, "--service-role", name)
    assert done.returncode == 1
    told = "CREATE ROLE nobody_here" if kind == "missing" else "name another one"
    assert told in done.stderr
    assert await bare.said(bare.owner, "SELECT to_regclass('alembic_version')") is None


async def test_a_migration_as_the_lesser_role_says_who_may(place: Place) -> None:
    def down(connection: Connection) -> None:
        command.downgrade(alembic(connection), "-1")

    await run(place.at(place.owner), down)
    done = place.migrate(place.service, "--service-role", place.service)
    assert done.returncode == 1
    assert re.search("permission denied|must be owner of", done.stderr)
    assert "migrate as the role that owns the tables" in done.stderr


async def not_ready(url: str, log: Path) -> str:
    """What a service says that starts there, with what its log has."""
    port = free_port()
    process = spawn(log, {"database_url": plain(url), "port": port})
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            while True:
                try:
                    answer = await client.get("/readyz")
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    await asyncio.sleep(0.05)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
    assert answer.status_code == 503
    told: str = answer.json()["detail"]
    return told


async def test_a_service_that_starts_before_the_migration_migrates_nothing_and_says_what_to_do(
    bare: Place, tmp_path: Path
) -> None:
    told = await not_ready(bare.at(bare.service), tmp_path / "log")
    assert "schema is missing" in told
    assert "farmqueue migrate" in told
    assert await bare.said(bare.owner, "SELECT to_regclass('alembic_version')") is None


async def test_a_service_whose_role_was_given_nothing_says_so(place: Place, tmp_path: Path) -> None:
    await execute(place.url, f'DROP OWNED BY "{place.service}"')
    told = await not_ready(place.at(place.service), tmp_path / "log")
    assert "farmqueue migrate --service-role" in told


def only_by_grant(place: Place) -> str:
    """Statements after which nobody makes functions of a session whom nobody let."""
    name = make_url(place.url).database
    return f'REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC, "{place.service}"'


async def test_a_service_that_may_not_make_functions_of_its_session_says_so_until_it_may(
    place: Place, tmp_path: Path
) -> None:
    await execute(place.url, only_by_grant(place))
    told = await not_ready(place.at(place.service), tmp_path / "log")
    assert "farmqueue migrate --service-role" in told
    assert "GRANT TEMPORARY" in told
    done = place.migrate(place.owner)
    assert done.returncode == 0, done.stderr
    with service(place.at(place.service), tmp_path / "log") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/readyz")).status_code == 200


async def test_a_migration_that_cannot_let_the_service_make_functions_says_who_can(
    place: Place,
) -> None:
    await execute(place.url, only_by_grant(place))
    await execute(place.url, f"ALTER DATABASE {make_url(place.url).database} OWNER TO postgres")
    done = place.migrate(place.owner)
    assert done.returncode == 1
    assert f"GRANT TEMPORARY ON DATABASE … TO {place.service}" in done.stderr
