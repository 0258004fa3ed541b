"""Who is let in to the page, for how long, and what their browser may do."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.main import create_app
from app.page import session_store
from app.settings import Settings
from tests.farm import Farm
from tests.page.visitor import HERE, Visitor, visitor
from tests.tokens import ADMIN_TOKEN, made

PAGES = ("/", "/page/jobs", "/page/agents", "/page/login")


@pytest.fixture
async def guest(app: FastAPI) -> Visitor:
    return visitor(app)


async def execute(database: str, statement: str, *values: Any) -> Any:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


def cookie(answer: httpx.Response) -> str:
    return answer.headers.get_list("set-cookie")[-1]


async def test_who_is_not_logged_in_is_asked_to_and_comes_back_to_where_they_wanted(
    guest: Visitor,
) -> None:
    asked = await guest.get("/page/jobs?state=failed")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/page/login?next=/page/jobs%3Fstate%3Dfailed"
    form = await guest.read(asked.headers["location"])
    assert 'name="next" value="/page/jobs?state=failed"' in form
    answer = await guest.log_in(ADMIN_TOKEN, next="/page/jobs?state=failed")
    assert (answer.status_code, answer.headers["location"]) == (303, "/page/jobs?state=failed")


@pytest.mark.parametrize(
    "where", ["//evil.example", "https://evil.example", "/\\evil", "/\r\nX: y"]
)
async def test_a_login_leads_to_no_other_host(guest: Visitor, where: str) -> None:
    answer = await guest.log_in(ADMIN_TOKEN, next=where)
    assert answer.headers["location"] == "/"


async def test_the_cookie_is_kept_from_scripts_and_the_database_has_its_digest_alone(
    guest: Visitor, database: str
) -> None:
    told = cookie(await guest.log_in(ADMIN_TOKEN))
    assert re.search(
        r"^farmqueue_session=.{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax$", told
    )
    secret = guest.client.cookies["farmqueue_session"]
    [row] = await execute(database, "SELECT * FROM page_sessions")
    assert row["digest"] == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(dict(row))
    assert ADMIN_TOKEN not in repr(dict(row))


@pytest.mark.parametrize(
    ("root", "name", "path"),
    [("", "__Host-farmqueue_session", "/"), ("/farm", "__Secure-farmqueue_session", "/farm/")],
)
async def test_by_https_the_cookie_is_bound_to_it(
    app: FastAPI, root: str, name: str, path: str
) -> None:
    guest = visitor(app, "https://farm", root)
    answer = await guest.client.post(
        f"{root}/page/login", data={"token": ADMIN_TOKEN}, headers={"Origin": "https://farm"}
    )
    assert answer.headers["location"] == f"{root}/"
    told = cookie(answer)
    assert told.startswith(f"{name}=")
    assert f"Path={path};" in told
    assert "Secure" in told
    assert (await guest.get(f"{root}/")).status_code == 200


async def test_each_login_begins_a_session_of_its_own_and_ends_the_former(
    guest: Visitor, database: str
) -> None:
    await guest.log_in(ADMIN_TOKEN)
    first = guest.client.cookies["farmqueue_session"]
    await guest.log_in(ADMIN_TOKEN)
    assert guest.client.cookies["farmqueue_session"] != first
    assert len(await execute(database, "SELECT FROM page_sessions")) == 1


async def test_a_wrong_token_is_refused_in_words_and_counts(database: str) -> None:
    app = create_app(Settings(failed_tokens_per_minute=2), database)
    async with app.router.lifespan_context(app):
        guest = visitor(app)
        for _ in range(2):
            answer = await guest.log_in("fq_viewer_1_wrong")
            assert answer.status_code == 401
            assert "this token is not valid" in answer.text
        answer = await guest.log_in("fq_viewer_1_wrong")
        assert (answer.status_code, "too many wrong tokens" in answer.text) == (429, True)
        assert int(answer.headers["retry-after"]) > 0
        assert (await guest.log_in(ADMIN_TOKEN)).status_code == 303  # valid ones still pass


@pytest.mark.parametrize("role", ["metrics", "join", "agent"])
async def test_a_token_of_a_machine_opens_no_page_and_hears_why(
    farm: Farm, guest: Visitor, role: str
) -> None:
    token = await made(farm.client, "join" if role == "agent" else role)
    if role == "agent":
        headers = {"Authorization": f"Bearer {token}"}
        joined = await farm.client.post("/agents", json={"hostname": "a"}, headers=headers)
        token = joined.json()["token"]
    answer = await guest.log_in(token)
    assert answer.status_code == 403
    assert f"this token is of role {role}" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE tokens SET revoked_at = clock_timestamp()",
        "UPDATE tokens SET expires_at = clock_timestamp()",
        "UPDATE tokens SET digest = sha256('another')",
        "DELETE FROM tokens",
        "UPDATE page_sessions SET expires_at = clock_timestamp()",
    ],
)
async def test_a_session_ends_with_its_token(
    app: FastAPI, farm: Farm, guest: Visitor, database: str, end: str
) -> None:
    await guest.log_in(await made(farm.client, "viewer"))
    assert (await guest.get("/page/jobs")).status_code == 200
    await execute(database, end)
    assert (await guest.get("/page/jobs")).status_code in {303, 401}
    await app.state.desk.look()  # who may not do it at all hears that, until a cycle took notice
    assert (await guest.post("/page/jobs/pause", {"id": "1"})).status_code == 401


async def test_another_admin_token_of_the_environment_ends_its_sessions(
    guest: Visitor, database: str
) -> None:
    await guest.log_in(ADMIN_TOKEN)
    app = create_app(Settings(admin_token="another-one-for-tests"), database)
    async with app.router.lifespan_context(app):
        later = visitor(app)
        later.client.cookies = guest.client.cookies
        assert (await later.get("/page/jobs")).status_code == 303


async def test_who_logs_out_is_out(guest: Visitor, database: str) -> None:
    await guest.log_in(ADMIN_TOKEN)
    kept = guest.client.cookies["farmqueue_session"]
    answer = await guest.post("/page/logout")
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/page/login")
    assert await execute(database, "SELECT FROM page_sessions") == []
    guest.client.cookies.set("farmqueue_session", kept)
    assert (await guest.get("/")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://farm", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://farm:81"},
    ],
)
async def test_no_other_site_can_have_a_browser_change_anything(
    guest: Visitor, headers: dict[str, str]
) -> None:
    await guest.log_in(ADMIN_TOKEN)
    own = headers | {"X-CSRF-Token": guest.csrf}
    answer = await guest.client.post("/page/queues", data={"name": "films"}, headers=own)
    assert (answer.status_code, answer.json()["code"]) == (403, "other_site")
    login = await guest.client.post("/page/login", data={"token": ADMIN_TOKEN}, headers=headers)
    assert (login.status_code, login.json()["code"]) == (403, "other_site")


@pytest.mark.parametrize("csrf", ["", "0" * 64])
async def test_nothing_is_changed_without_what_a_page_of_the_session_knows(
    guest: Visitor, csrf: str
) -> None:
    await guest.log_in(ADMIN_TOKEN)
    headers = HERE | ({"X-CSRF-Token": csrf} if csrf else {})
    answer = await guest.client.post("/page/queues", data={"name": "films"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "other_site")


async def test_the_cookie_opens_nothing_of_the_api(guest: Visitor) -> None:
    await guest.log_in(ADMIN_TOKEN)
    for path in ("/jobs", "/jobqueues", "/tokens", "/metrics"):
        assert (await guest.get(path)).status_code == 401


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_allows_no_script_or_style_but_its_own_files(
    guest: Visitor, farm: Farm, path: str
) -> None:
    await farm.queue("/films")
    await farm.job("one", queue="/films")
    await farm.agent("a0")
    if path != "/page/login":
        await guest.log_in(ADMIN_TOKEN)
    answer = await guest.get(path)
    assert answer.status_code == 200
    policy = dict(
        part.split(maxsplit=1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert (
        re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|hx-on", answer.text)
        == []
    )
    assert re.findall(r"(?:src|href|action|hx-\w+)=\"(?:https?:)?//", answer.text) == []


async def test_what_users_wrote_is_shown_and_never_run(guest: Visitor, farm: Farm) -> None:
    bad = "<img src=x onerror=alert(1)>\"'"
    await farm.queue("/films")
    await farm.set_queue("/films", name="<b>films")
    await farm.job(bad)
    await farm.agent(bad)
    await guest.log_in(ADMIN_TOKEN)
    for path in ("/", "/page/jobs", "/page/agents", f"/page/jobs/{farm.jobs[bad]}"):
        text = await guest.read(path)
        assert "<img src=x" not in text
        assert "<b>films" not in text


async def test_an_error_is_a_page_for_the_address_bar_and_a_problem_for_scripts(
    guest: Visitor,
) -> None:
    await guest.log_in(ADMIN_TOKEN)
    shown = await guest.get("/page/jobs/99")
    assert (shown.status_code, "there is no job with id 99" in shown.text) == (404, True)
    assert shown.headers["content-type"].startswith("text/html")
    told = await guest.get("/page/jobs/99", **{"HX-Request": "true"})
    assert (told.status_code, told.json()["code"]) == (404, "job_not_found")


@pytest.mark.parametrize("path", ["/page/nope", "/page/jobs/1/nope", "/page/"])
async def test_what_is_no_page_is_told_by_one(guest: Visitor, path: str) -> None:
    await guest.log_in(ADMIN_TOKEN)
    answer = await guest.client.get(path, follow_redirects=True)
    assert (answer.status_code, "there is no such page" in answer.text) == (404, True)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/page/jobs/?state=done", "/page/agents/"])
async def test_a_slash_too_many_leads_to_the_page(guest: Visitor, path: str) -> None:
    await guest.log_in(ADMIN_TOKEN)
    answer = await guest.get(path)
    plain = path.replace("/?", "?").rstrip("/")
    assert (answer.status_code, answer.headers["location"]) == (307, plain)


@pytest.mark.parametrize("page", ["jobs", "history"])
@pytest.mark.parametrize("written", ["/nope", "nope/"])
async def test_a_queue_that_is_not_there_is_told_on_every_page_that_asks_for_one(
    guest: Visitor, page: str, written: str
) -> None:
    await guest.log_in(ADMIN_TOKEN)
    assert "there is no queue" not in await guest.read(f"/page/{page}")
    text = await guest.read(f"/page/{page}?queue={written}")
    assert 'role="alert">there is no queue /nope</p>' in text
    assert f'name="queue" value="{written}"' in text


async def test_cookies_that_nobody_has_are_looked_up_one_at_a_time(
    app: FastAPI, guest: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of them takes one connection, and leaves the others to the farm."""
    await guest.log_in(ADMIN_TOKEN)
    get = session_store.get
    at_once: list[int] = []
    busy = 0

    async def watched(connection: AsyncConnection, digest: bytes) -> RowMapping | None:
        nonlocal busy
        busy += 1
        at_once.append(busy)
        try:
            return await get(connection, digest)
        finally:
            busy -= 1

    async def stranger(number: int) -> httpx.Response:
        own = visitor(app)
        own.client.cookies.set("farmqueue_session", f"wrong-{number}")
        return await own.get("/page/jobs")

    monkeypatch.setattr(session_store, "get", watched)
    answers = await asyncio.gather(*(stranger(number) for number in range(20)))
    assert {answer.status_code for answer in answers} == {303}
    assert at_once == [1] * 20


async def test_no_more_of_a_form_is_taken_than_forms_have(guest: Visitor) -> None:
    heard = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal heard
        for _ in range(100):
            heard += 1
            yield b"token=" + b"%41" * 10_000 + b"&"

    headers = HERE | {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await guest.client.post("/page/login", content=flood(), headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (413, 413)
    assert heard < 10
