"""What may be over soon is a 503, and no fault of the service."""

import asyncpg
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from starlette.requests import Request

from app import problems
from tests.tokens import AUTH


def told_by(cause: Exception) -> DBAPIError:
    """As SQLAlchemy hands on what the driver raised."""
    adapted = Exception(str(cause))
    adapted.__cause__ = cause
    vars(adapted)["sqlstate"] = getattr(cause, "sqlstate", None)
    return DBAPIError("SELECT 1", {}, adapted)


@pytest.mark.parametrize(
    ("failed", "status"),
    [
        (told_by(asyncpg.IdleInTransactionSessionTimeoutError("too long")), 503),
        (told_by(asyncpg.ReadOnlySQLTransactionError("no writes")), 503),
        (told_by(asyncpg.InterfaceError("another operation is in progress")), 503),
        (told_by(asyncpg.TargetServerAttributeNotMatched("a standby alone is there")), 503),
        (told_by(asyncpg.InternalClientError("cannot switch to state 12")), 503),
        (asyncpg.InterfaceError("another operation is in progress"), 503),
        (PendingRollbackError("the connection broke before"), 503),
        (TimeoutError(), 503),
        (ConnectionResetError(), 503),
        (told_by(asyncpg.UndefinedFunctionError("no such function")), 500),
        (told_by(asyncpg.exceptions.DataError("no such value")), 500),
        (KeyError("a fault"), 500),
    ],
)
async def test_only_faults_of_the_service_are_told_as_such(failed: Exception, status: int) -> None:
    request = Request({"type": "http", "path": "/jobs", "headers": []})
    assert (await problems.answer(request, failed)).status_code == status


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
