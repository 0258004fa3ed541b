"""Who logs out at one replica is logged out at all of them."""

import asyncio

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from app.main import create_app
from app.page import session_store, sessions
from app.settings import Settings
from tests.page.visitor import Visitor, visitor
from tests.tokens import ADMIN_TOKEN


async def test_a_window_that_another_replica_serves_hears_of_the_logout_and_no_other_does(
    app: FastAPI, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CHECK_SECONDS", 0.05)
    other = create_app(Settings(), database)
    async with other.router.lifespan_context(other), asyncio.timeout(60):
        windows = []
        guests = [visitor(app), visitor(app)]
        for guest in guests:
            await guest.log_in(ADMIN_TOKEN)
            there = visitor(other)
            there.client.cookies.update(guest.client.cookies)
            windows.append(asyncio.create_task(there.get("/page/live/jobs")))
        while other.state.board.viewers < 2:
            await asyncio.sleep(0.01)
        for guest, window, left in zip(guests, windows, (1, 0), strict=True):
            await guest.post("/page/logout")
            assert "event: over" in (await window).text
            assert other.state.board.viewers == left


async def test_a_database_that_is_away_logs_nobody_out(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = visitor(app)
    await guest.log_in(ADMIN_TOKEN)
    cookies = _cookies(guest)
    request = Request({"type": "http", "path": "/", "headers": cookies, "app": app})
    session = await app.state.sessions.of(request)
    asked = asyncio.Event()

    async def away(*_: object) -> None:
        asked.set()
        raise OSError("away")

    monkeypatch.setattr(session_store, "standing", away)
    monkeypatch.setattr(sessions, "CHECK_SECONDS", 0)
    watch = asyncio.create_task(app.state.sessions.watch_for_ever(app.state.engine))
    await asked.wait()
    asked.clear()
    await asked.wait()  # it asks on
    watch.cancel()
    assert session is not None
    assert session.stands()


def _cookies(guest: Visitor) -> list[tuple[bytes, bytes]]:
    cookie = f"farmqueue_session={guest.client.cookies['farmqueue_session']}"
    return [(b"cookie", cookie.encode()), (b"host", b"farm")]
