"""A database server for the run, a fresh migrated database for each test, the app over it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.embedded import database_url
from app.db.migrations import upgrade_at
from app.db.roles import grant
from app.main import create_app
from app.settings import Settings
from tests.farm import Farm
from tests.homes import home_in_memory
from tests.tokens import ADMIN_TOKEN, AUTH

TEMPLATE = "farm_template"
ROUNDS = 1_000  # of the event loop, after which it is to have nothing to do
SERVICE = "farm_service"  # who the app of a test is, to the database


LONGEST = ("chaos", "races", "examples", "security", "page", "upgrades", "policy")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders of long tests first: the last file has nothing beside it."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> None:
    """No test listens to the settings of whoever runs it, nor to how it was started."""
    for name in [name for name in os.environ if name.startswith("FARMQUEUE_")]:
        del os.environ[name]
    os.environ["FARMQUEUE_ADMIN_TOKEN"] = ADMIN_TOKEN
    # Reading jobs would start processes everywhere; those that are about them switch them on.
    os.environ["FARMQUEUE_ESTIMATES"] = "false"
    # A shell ignores these for what it runs in the background, and so would all that is started.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
async def _the_loop_rests() -> AsyncIterator[None]:
    """What goes on and on after a file's last test takes the time of all that come after it."""
    yield
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(ROUNDS):
        if not ready:
            return
        await asyncio.sleep(0)
    pytest.fail(f"a test here left something that never rests: {ready}", pytrace=False)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of a PostgreSQL of this run's own, durable enough for tests."""
    with (
        home_in_memory("fq") as home,
        database_url(Settings(data_dir=home)) as url,
    ):
        asyncio.run(_prepare(url))
        yield url


async def _prepare(url: str) -> None:
    await execute(url, "ALTER SYSTEM SET fsync = off")
    await execute(url, "ALTER SYSTEM SET synchronous_commit = off")
    await execute(url, "ALTER SYSTEM SET max_connections = 300")
    await execute(url, "SELECT pg_reload_conf()")
    await execute(url, f"CREATE DATABASE {TEMPLATE}")
    await upgrade_at(Settings(), _database(url, TEMPLATE))
    await execute(url, f"CREATE ROLE {SERVICE} LOGIN")
    engine = create_async_engine(_database(url, TEMPLATE))
    async with engine.begin() as connection:
        await grant(connection, [SERVICE], [])
    await engine.dispose()


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _database(url: str, name: str) -> str:
    before, _, query = url.partition("?")
    return f"{before.rsplit('/', 1)[0]}/{name}?{query}"


def as_role(url: str, role: str) -> str:
    """The same database for another role; none of the run's server has a password."""
    made: str = make_url(url).set(username=role).render_as_string(hide_password=False)
    return made


@asynccontextmanager
async def fresh_database(server: str) -> AsyncIterator[str]:
    """URL of a database with the newest schema, dropped at the end."""
    name = f"farm_{uuid4().hex}"
    await execute(server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    yield _database(server, name)
    await execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(server: str) -> AsyncIterator[str]:
    async with fresh_database(server) as url:
        yield url


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
async def app(database: str, settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings, as_role(database, SERVICE))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to the app in this process."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://farm", headers=AUTH
    ) as client:
        yield client


@pytest.fixture
def farm(client: httpx.AsyncClient) -> Farm:
    return Farm(client)
