"""What goes wrong on the page is told, and nothing of it is stored."""

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, Unauthorized
from app.jobs import reading, service
from tests.farm import Farm
from tests.page.visitor import visitor
from tests.tokens import ADMIN_TOKEN


@pytest.mark.parametrize(
    ("failed", "status"),
    [(Conflict("no"), 409), (Unauthorized("no more"), 401), (RuntimeError("a fault"), 500)],
)
async def test_of_a_change_that_fails_in_the_middle_nothing_is_left(
    app: FastAPI, farm: Farm, monkeypatch: pytest.MonkeyPatch, failed: Exception, status: int
) -> None:
    async def change(connection: AsyncConnection, *_: object) -> None:
        await connection.execute(text("UPDATE jobs SET title = 'half'"))
        raise failed

    made = await farm.job("shot")
    guest = visitor(app)
    await guest.log_in(ADMIN_TOKEN)
    monkeypatch.setattr(service, "change", change)
    answer = await guest.post(f"/page/jobs/{made['id']}", {"title": "whole"})
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert (await farm.see_job("shot"))["title"] == "shot"


async def test_a_connection_that_breaks_under_a_page_is_a_503(
    app: FastAPI, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def get(connection: AsyncConnection, *_: object) -> None:
        await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    made = await farm.job("shot")
    guest = visitor(app)
    await guest.log_in(ADMIN_TOKEN)
    monkeypatch.setattr(reading, "get", get)
    answer = await guest.get(f"/page/jobs/{made['id']}")
    assert (answer.status_code, "retry-after" in answer.headers) == (503, False)
    assert "the database is away or busy" in answer.text
