"""What may be over soon is a 503, and no fault of the service."""

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import Request
from structlog.testing import capture_logs

from app import problems
from app.db.engine import create_engine
from app.settings import Settings
from tests.tokens import AUTH


def told_by(cause: Exception) -> DBAPIError:
    """As SQLAlchemy hands on what the driver raised."""
    adapted = Exception(str(cause))
    adapted.__cause__ = cause
    vars(adapted)["sqlstate"] = getattr(cause, "sqlstate", None)
    return DBAPIError("SELECT 1", {}, adapted)


async def status_of(failed: Exception) -> int:
    request = Request({"type": "http", "path": "/jobs", "headers": []})
    return (await problems.answer(request, failed)).status_code


@pytest.mark.parametrize(
    ("failed", "status"),
    [
        (told_by(asyncpg.IdleInTransactionSessionTimeoutError("too long")), 503),
        (told_by(asyncpg.ReadOnlySQLTransactionError("no writes")), 503),
        (
            told_by(asyncpg.InterfaceError("cannot call it: the underlying connection is closed")),
            503,
        ),
        (asyncpg.InterfaceError("cannot perform operation: connection is closed"), 503),
        (asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"), 503),
        (told_by(asyncpg.ConnectionDoesNotExistError("closed in the middle")), 503),
        (asyncpg.InternalClientError("not connected"), 503),
        (asyncpg.InternalClientError('protocol is in the "failed" state'), 503),
        (asyncpg.TargetServerAttributeNotMatched("none of the hosts is primary"), 503),
        (PendingRollbackError("the connection broke before", code="8s2b"), 503),
        (PoolTimeout("all connections are in use"), 503),
        (TimeoutError(), 503),
        (ConnectionResetError(), 503),
        (told_by(asyncpg.UndefinedFunctionError("no such function")), 500),
        (told_by(asyncpg.exceptions.DataError("no such value")), 500),
        (told_by(asyncpg.exceptions.DataError("no such value: connection is closed")), 500),
        (told_by(asyncpg.InterfaceError("another operation is in progress")), 500),
        (asyncpg.InterfaceError("another operation is in progress"), 500),
        (asyncpg.InternalClientError("another operation (2) is in progress"), 500),
        (told_by(asyncpg.InternalClientError("no decoder for OID 7")), 500),
        (PendingRollbackError("a flush failed before", code="7s2a"), 500),
        (KeyError("a fault"), 500),
    ],
)
async def test_only_faults_of_the_service_are_told_as_such(failed: Exception, status: int) -> None:
    with capture_logs() as logs:
        assert await status_of(failed) == status
    [said] = logs
    assert said["event"] == ("request_failed" if status == 500 else "database_unavailable")
    assert said.get("exc_info") == (failed if status == 500 else None)


async def test_a_connection_that_is_cut_passes_whatever_is_tried_on_it(database: str) -> None:
    engine = create_engine(Settings(pool_size=2), database)
    told: list[SQLAlchemyError] = []
    async with engine.connect() as connection, engine.connect() as other:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        await other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": pid})
        for _ in range(2):
            with pytest.raises(SQLAlchemyError) as failed:
                await connection.execute(text("SELECT 1"))
            told.append(failed.value)
    await engine.dispose()
    assert isinstance(told[1], PendingRollbackError)
    assert [await status_of(failed) for failed in told] == [503, 503]


async def test_who_hangs_up_before_the_body_has_come_finds_no_fault(app: FastAPI) -> None:
    statuses: list[int] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, int]) -> None:
        if "status" in message:
            statuses.append(message["status"])

    headers = [(name.lower().encode(), value.encode()) for name, value in AUTH.items()]
    scope = {"type": "http", "method": "POST", "path": "/jobqueues/plan", "headers": headers}
    await app(scope | {"query_string": b"", "client": None}, receive, send)  # type: ignore[arg-type]
    assert statuses == [400]
