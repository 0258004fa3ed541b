"""Cookies that nobody has: they are counted, and keep nobody out who has one."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.main import create_app
from app.page import session_store, sessions
from app.settings import Settings
from tests.page.visitor import Visitor, visitor
from tests.tokens import ADMIN_TOKEN

FLOOD, HOME = "203.0.113.7", "192.0.2.1"


@pytest.fixture
async def strict(database: str) -> AsyncIterator[FastAPI]:
    """A service that takes two wrong tokens a minute from an address."""
    app = create_app(Settings(failed_tokens_per_minute=2), database)
    async with app.router.lifespan_context(app):
        yield app


def stranger(app: FastAPI, number: int, address: str = FLOOD) -> Visitor:
    guest = visitor(app, address=address)
    guest.client.cookies.set("farmqueue_session", f"wrong-{number}")
    return guest


def restarted(app: FastAPI) -> None:
    """As after a restart: no cookie was ever seen."""
    app.state.sessions._seen.clear()


async def test_wrong_cookies_count_as_wrong_tokens_and_valid_ones_still_pass(
    strict: FastAPI,
) -> None:
    guest = visitor(strict, address=FLOOD)
    await guest.log_in(ADMIN_TOKEN)
    for number in range(2):
        assert (await stranger(strict, number).get("/page/jobs")).status_code == 303
    refused = await stranger(strict, 3).get("/page/jobs", **{"HX-Request": "true"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failures")
    assert refused.json()["title"] == "Too many failures"
    assert "too many cookies of no session from this address: log in" in refused.json()["detail"]
    assert int(refused.headers["retry-after"]) > 0
    wrong_token = await strict_login(strict, "fq_viewer_1_wrong")
    assert wrong_token.status_code == 429
    restarted(strict)
    assert (await guest.get("/page/jobs")).status_code == 200
    assert (await stranger(strict, 4, HOME).get("/page/jobs")).status_code == 303


async def strict_login(app: FastAPI, token: str) -> httpx.Response:
    return await visitor(app, address=FLOOD).log_in(token)


async def test_who_has_an_old_cookie_can_log_in_wherever_others_send_wrong_ones(
    strict: FastAPI,
) -> None:
    for number in range(3):
        await stranger(strict, number).get("/page/jobs")
    guest = stranger(strict, 9)
    assert (await guest.get("/page/login")).status_code == 200
    assert (await guest.log_in(ADMIN_TOKEN)).status_code == 303


async def test_who_logs_in_during_a_flood_waits_for_none_of_it(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, over = session_store.get, asyncio.Event()

    async def slowly(connection: AsyncConnection, digest: bytes) -> RowMapping | None:
        if digest not in app.state.sessions._seen:
            await over.wait()
        return await get(connection, digest)

    monkeypatch.setattr(session_store, "get", slowly)
    flood = [asyncio.create_task(stranger(app, one).get("/page/jobs")) for one in range(9)]
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        guest = visitor(app, address=FLOOD)
        assert (await guest.log_in(ADMIN_TOKEN)).status_code == 303
        assert (await guest.get("/page/jobs")).status_code == 200
    over.set()
    assert {answer.status_code for answer in await asyncio.gather(*flood)} == {303}
    assert app.state.sessions._lines == {}


async def test_addresses_take_turns_however_many_cookies_one_sends(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = visitor(app, address=HOME)
    await guest.log_in(ADMIN_TOKEN)
    restarted(app)
    get, asked = session_store.get, 0
    at: list[int] = []

    async def counted(connection: AsyncConnection, digest: bytes) -> RowMapping | None:
        nonlocal asked
        asked += 1
        found = await get(connection, digest)
        if found is not None:
            at.append(asked)
        return found

    monkeypatch.setattr(session_store, "get", counted)
    flood = [asyncio.create_task(stranger(app, one).get("/page/jobs")) for one in range(40)]
    while not asked:
        await asyncio.sleep(0)
    assert (await guest.get("/page/jobs")).status_code == 200
    await asyncio.gather(*flood)
    assert at[0] <= 4


async def test_of_a_flood_no_more_wait_than_may(
    strict: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MOST_WAITING", 1)
    for number in range(2):
        await stranger(strict, number).get("/page/jobs")
    over = asyncio.Event()

    async def never(*_: object) -> None:
        await over.wait()

    monkeypatch.setattr(session_store, "get", never)
    first = asyncio.create_task(stranger(strict, 3).get("/page/jobs"))
    while not strict.state.sessions._lines:
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert (await stranger(strict, 4).get("/page/jobs")).status_code == 429
    over.set()
    assert (await first).status_code == 429
