"""What somebody tries who has a token, or none, and wants more."""

import asyncio
import io
import logging
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from fastapi import FastAPI

from app import logs
from app.access import Role
from app.tokens import secret
from app.tokens.throttle import Throttle
from tests.farm import Farm
from tests.tokens import bearer, made

BODIES = ("POST /jobs", "POST /jobqueues", "PATCH /jobs/1", "POST /assign", "POST /tokens")


async def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


# --- without a token ---


async def test_a_token_with_an_id_beyond_all_is_one_wrong_token_more(farm: Farm) -> None:
    for token_id in (2**63, 10**19 - 1):
        answer = await farm.client.get("/jobs", headers=bearer(secret.mint(Role.ADMIN, token_id)))
        await refused(answer, 401, "unauthorized")


@pytest.mark.parametrize(
    "path",
    [
        *("//docs", "/docs/", "/docs/x", "/DOCS", "/static", "//static/x", "/healthz/x"),
        *("/./docs", "/x/../docs", "/jobs/", "/jobs/%2e%2e/docs", "/metrics", "/openapi.json/"),
    ],
)
async def test_no_path_but_those_that_are_open_gets_past_the_gate(app: FastAPI, path: str) -> None:
    assert await status_of(app, path) == 401


@pytest.mark.parametrize("path", ["/static/../jobs", "/static/../../main.py", "/static/a\0b"])
async def test_nothing_but_the_files_of_the_pages_is_below_static(app: FastAPI, path: str) -> None:
    assert await status_of(app, path) == 404


@pytest.mark.parametrize("path", ["/farm/farm/docs", "/farmdocs", "/farm//docs", "/farm/jobs"])
async def test_a_prefix_opens_no_path(app: FastAPI, path: str) -> None:
    assert await status_of(app, path, root_path="/farm") == 401


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "get", "X"])
async def test_no_method_gets_past_the_gate(app: FastAPI, method: str) -> None:
    assert await status_of(app, "/jobs", method=method) == 401


async def status_of(app: FastAPI, path: str, **scope: Any) -> int:
    """The path as it is, which a client would put in order."""
    statuses = []
    asked = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "headers": [(b"host", b"farm")],
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "client": ("::1", 1),
        "server": ("::1", 2),
        **scope,
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(asked, receive, send)
    return int(statuses[0])


async def test_a_web_socket_is_closed_at_the_gate(app: FastAPI) -> None:
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/static/swagger-ui/swagger-ui.css", "/jobs"):
        await app({"type": "websocket", "path": path, "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"] * 2


async def test_a_flood_of_wrong_tokens_takes_one_connection_and_valid_ones_pass(
    app: FastAPI, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, known = await made(farm.client, "viewer"), app.state.known
    monkeypatch.setattr(app.gate, "_throttle", Throttle(1))  # type: ignore[attr-defined]
    at_once: list[int] = []
    look_up = known.look_up

    async def counted(*asked: Any) -> Any:
        at_once.append(1)
        try:
            await asyncio.sleep(0.01)
            return await look_up(*asked)
        finally:
            most.append(len(at_once))
            at_once.pop()

    most: list[int] = []
    monkeypatch.setattr(known, "look_up", counted)
    wrong = bearer(secret.mint(Role.VIEWER, 10**6))
    assert (await farm.client.get("/jobs", headers=wrong)).status_code == 401
    flood = [farm.client.get("/jobs", headers=one) for one in [wrong] * 8 + [bearer(token)]]
    answers = await asyncio.gather(*flood)
    assert [answer.status_code for answer in answers] == [429] * 8 + [200]
    assert most == [1] * 10


def test_all_addresses_of_a_network_are_one_to_the_throttle() -> None:
    throttle = Throttle(1)
    assert throttle.failed("2001:db8:0:1::1") == 0
    assert throttle.failed("2001:db8:0:1:ffff::2") > 0
    assert throttle.failed("2001:db8:0:2::1") == 0
    assert throttle.failed("::ffff:10.0.0.1") == 0
    assert throttle.failed("10.0.0.1") > 0


# --- with a token of the wrong role ---


@pytest.mark.parametrize("route", BODIES)
async def test_who_may_not_hears_that_whatever_the_body_is(farm: Farm, route: str) -> None:
    headers = bearer(await made(farm.client, "metrics")) | {"content-type": "application/json"}
    method, _, path = route.partition(" ")
    for body in (b"{", b"[]", b'{"title": 1}', b"\xff"):
        answer = await farm.client.request(method, path, content=body, headers=headers)
        await refused(answer, 403, "forbidden")


async def test_a_bound_queue_is_not_renamed_by_whom_it_binds(farm: Farm) -> None:
    """By its name others find it: so it would take the place of another one."""
    await farm.queue("/films")
    await farm.queue("/films/hero")
    films = farm.queues["/films"]
    token = bearer(await made(farm.client, "operator", job_queue_id=films))
    rename = {"name": "incoming"}
    answer = await farm.client.patch(f"/jobqueues/{films}", json=rename, headers=token)
    await refused(answer, 403, "other_subtree")
    hero = f"/jobqueues/{farm.queues['/films/hero']}"
    assert (await farm.client.patch(hero, json=rename, headers=token)).status_code == 200


async def test_a_bound_join_token_takes_over_no_agent_of_elsewhere(farm: Farm) -> None:
    films, tv = [(await farm.queue(path))["id"] for path in ("/films", "/tv")]
    unbound = {"hostname": "a0", "port": 1}
    of_tv = {"hostname": "a1", "port": 1}
    for body, fields in ((unbound, {}), (of_tv, {"job_queue_id": tv})):
        token = await made(farm.client, "join", **fields)
        agent = (await farm.client.post("/agents", json=body, headers=bearer(token))).json()
        await farm.patch(f"/agents/{agent['id']}", {"state": "offline"})
    thief = bearer(await made(farm.client, "join", job_queue_id=films, uses=1))
    for body in (unbound, of_tv):
        answer = await farm.client.post("/agents", json=body, headers=thief)
        await refused(answer, 403, "other_subtree")
    mine = await farm.client.post("/agents", json={"hostname": "a2"}, headers=thief)
    assert mine.json()["job_queue_id"] == films


async def test_an_agent_touches_no_assignment_of_another(farm: Farm) -> None:
    """Neither by its id, nor by tasks of it, nor on the way of a poll."""
    join = bearer(await made(farm.client, "join"))
    await farm.job("shot")
    one, two = [
        (await farm.client.post("/agents", json={"hostname": name}, headers=join)).json()
        for name in ("a0", "a1")
    ]
    held = (await farm.client.post("/assign", json={}, headers=bearer(one["token"]))).json()
    results = [{"task_id": held["tasks"][0]["id"], "state": "done"}]
    named = {"assignment_id": held["id"], "results": results}
    thief = bearer(two["token"])
    for path, body, status in (
        (f"/assignments/{held['id']}/results", {"results": results}, 403),
        (f"/assignments/{held['id']}/release", None, 403),
        ("/assign", named, 409),
        ("/assign", {"results": results}, 409),
        ("/assign", named | {"agent_id": one["id"]}, 403),
    ):
        answer = await farm.client.post(path, json=body, headers=thief)
        assert answer.status_code == status, (path, body, answer.text)
    assert (await farm.see_job("shot"))["tasks"] == {
        "waiting": 0, "running": 1, "done": 0, "failed": 0
    }  # fmt: skip


# --- a database that was restored: ids may come again ---


async def test_a_token_that_this_process_remembers_is_not_another_one_of_its_id(
    farm: Farm, database: str
) -> None:
    former, present = [await made(farm.client, role) for role in ("admin", "viewer")]
    for token in (former, present):
        await farm.client.get("/jobs", headers=bearer(token))
    fresh = secret.mint(Role.VIEWER, 1)
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute("ALTER TABLE tokens DISABLE TRIGGER ALL")
    changed = "UPDATE tokens SET digest = $1, role = 'viewer' WHERE id = 1"
    await connection.execute(changed, secret.digest(fresh))
    await connection.close()
    for path in ("/tokens", "/jobs", "/metrics"):
        answer = await farm.client.get(path, headers=bearer(former))
        assert answer.status_code == 401, path
    assert (await farm.client.get("/jobs", headers=bearer(fresh))).status_code == 200
    assert (await farm.client.get("/tokens", headers=bearer(fresh))).status_code == 403


async def test_the_feed_tells_that_an_id_is_another_token_now(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await made(farm.client, "viewer")
    parsed = secret.parse(await made(farm.client, "admin"))
    assert parsed is not None
    caller = await app.state.known.look_up(app.state.engine, parsed)
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute("UPDATE tokens SET digest = sha256('x') WHERE id = 2")
    await app.state.known.hear(connection)
    await connection.close()
    assert caller.ended
    assert app.state.known.find(parsed.digest) is None


# --- what shows ---


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_of_the_log_shows_a_token_whatever_it_tells(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = secret.mint(Role.ADMIN, 12)
    shown = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", shown)
    try:
        logs.configure(form)
        structlog.get_logger("x").warning("told", path=f"/tokens/{token}")
        logging.getLogger("y").error("told %s", token)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    assert token.rpartition("_")[2] not in shown.getvalue()
    assert shown.getvalue().count("fq_admin_12_…") == 2


async def test_an_error_of_the_database_tells_nothing_of_what_was_sent(app: FastAPI) -> None:
    assert app.state.engine.sync_engine.hide_parameters


async def test_a_moment_that_no_calendar_has_is_a_wrong_field(farm: Farm) -> None:
    for moment in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"):
        body = {"role": "viewer", "name": "a", "expires_at": moment}
        assert (await farm.client.post("/tokens", json=body)).status_code == 422, moment
