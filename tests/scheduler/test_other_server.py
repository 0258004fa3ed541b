"""Once a process has met another server all of it goes there: the former one may live on."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.db import driver
from app.db.engine import create_engine, driver_of
from app.scheduler import listener
from app.scheduler.desk import Desk
from app.settings import Settings
from tests.farm import Farm

OTHER = datetime(2000, 1, 1, tzinfo=UTC)
PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600, lease_seconds=3600)


def meet_another(connection: asyncpg.Connection) -> None:
    """A connection of the same hosts was to another server, and is over."""
    hosts, _ = driver._MET[connection]
    hosts.server = OTHER


async def test_a_connection_to_a_former_server_is_given_to_nobody(database: str) -> None:
    engine = create_engine(Settings(), database)
    async with engine.connect() as connection:
        former = await connection.scalar(PID)
    async with engine.connect() as connection:
        assert await connection.scalar(PID) == former
        meet_another(await driver_of(connection))
    async with engine.connect() as connection:
        assert await connection.scalar(PID) != former
    await engine.dispose()


async def test_cycles_leave_a_server_once_others_of_the_process_met_another(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    assert await farm.gets("a0") is None
    await farm.job("shot")
    desk: Desk = app.state.desk
    former = desk._connection
    assert former is not None
    meet_another(await driver_of(former))
    assert await farm.gets("a0") == "shot"
    assert desk._connection is not former


async def test_hints_are_heard_of_the_server_that_was_met_last(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HEARTBEAT_SECONDS", 0.2)
    opened: list[asyncpg.Connection] = []

    async def connect(url: str, *, timeout: float) -> asyncpg.Connection:  # noqa: ASYNC109
        opened.append(await driver.connect(url, timeout=timeout))
        meet_another(opened[0])
        return opened[0]

    monkeypatch.setattr(listener, "connect", connect)
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(listener._listen_once(database, _Nobody()), 20)


class _Nobody(Desk):
    def __init__(self) -> None:
        pass

    def stir(self) -> None:
        pass
