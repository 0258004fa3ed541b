"""What the gate does beside telling who calls: headers, hosts, slow senders, wrong tokens."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app import first_token
from app.main import create_app
from app.one_write import OneWrite
from app.settings import Settings
from app.slow_senders import MOST_BESIDE, Impatient, protocol
from app.tokens.throttle import MOST, WINDOW, Throttle
from tests.farm import Farm
from tests.processes import service
from tests.scheduler.plain_asgi import call
from tests.tokens import ADMIN_TOKEN, AUTH, bearer, made


def through(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://farm", headers=AUTH)


@pytest.mark.parametrize("path", ["/jobs", "/nowhere", "/healthz", "/docs", "/openapi.json"])
async def test_every_answer_has_the_headers_that_bind_a_browser(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors" in headers["content-security-policy"]
    assert len(headers.get_list("content-security-policy")) == 1
    assert headers["cache-control"] == ("no-cache" if path == "/docs" else "no-store")


async def test_a_refusal_has_them_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/jobs", headers=bearer("wrong"))
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_answer_that_nothing_is_there_has_the_one_that_agents_get(
    farm: Farm,
) -> None:
    await farm.agent("a0")
    answer = await farm.ask("a0")
    assert answer.status_code == 204
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_only_hosts_that_the_service_is_known_by_are_answered(database: str) -> None:
    app = create_app(Settings(allowed_hosts="farm, queue.studio"), database)
    async with app.router.lifespan_context(app), through(app) as client:
        for host, status in (
            ("farm", 200), ("FARM:8000", 200), ("queue.studio", 200),
            ("evil.example", 400), ("farm.evil.example", 400), ("", 400),
        ):  # fmt: skip
            answer = await client.get("/jobs", headers={"Host": host})
            assert answer.status_code == status, host


async def test_a_body_that_does_not_arrive_is_given_up_and_its_connection_closed(
    database: str, tmp_path: Path
) -> None:
    with service(database, tmp_path / "log", body_seconds=0.3) as url:
        for path in ("/assign", "/jobs"):
            answer = await _half_sent(url, path)
            assert b" 408 " in answer.split(b"\r\n")[0], path
            assert b"connection: close" in answer.lower()


async def test_headers_that_do_not_arrive_are_given_up_and_a_poll_that_waits_is_not(
    database: str, tmp_path: Path
) -> None:
    with service(database, tmp_path / "log", body_seconds=2) as url:
        for sent in (b"", b"POST /assign HTTP/1.1\r\nhost: fa"):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(sent)
            async with asyncio.timeout(30):
                assert b" 408 " in (await reader.read()).split(b"\r\n")[0]
            writer.close()
        async with httpx.AsyncClient(base_url=url, headers=AUTH) as client:
            agent = (
                await client.post("/agents", json={"hostname": "a0", "cpus": 1, "ram": 64})
            ).json()
            poll = {"agent_id": agent["id"], "wait": 3}
            assert (await client.post("/assign", json=poll)).status_code == 204


class Wire(asyncio.Transport):
    """What a connection sends back, and whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
async def connection() -> AsyncIterator[Impatient]:
    """To a service that never answers by itself."""

    async def silent(_: Scope, __: Receive, ___: Send) -> None:
        await asyncio.Event().wait()

    config, state = uvicorn.Config(silent, log_config=None), ServerState()
    config.load()
    made = protocol(30)(config, state, {})
    made.connection_made(Wire())
    yield made
    made.connection_lost(None)
    for task in state.tasks:
        task.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)


def wire_of(connection: Impatient) -> Wire:
    found = cast("OneWrite", connection.transport)._transport
    assert isinstance(found, Wire)
    return found


HEAD = b"POST /jobs HTTP/1.1\r\nhost: farm\r\n"
IN_PARTS = HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n"


@pytest.mark.parametrize("line", [b"x-a: b\r\n", b"x"], ids=["many", "one"])
@pytest.mark.parametrize("head", [HEAD, IN_PARTS], ids=["headers", "after a body"])
async def test_headers_without_end_are_not_kept_but_answered_431(
    connection: Impatient, head: bytes, line: bytes
) -> None:
    """Whoever sends them need have no token: the gate hears of a request that has come."""
    wire = wire_of(connection)
    connection.data_received(head)
    received = 0
    while not wire.closed and received < 10 * MOST_BESIDE:
        connection.data_received(line * 1_000)
        received += len(line) * 1_000
    assert received < 2 * MOST_BESIDE
    assert wire.sent.startswith(b"HTTP/1.1 431 ")


async def test_a_body_is_as_long_as_it_is_and_a_connection_has_many_requests(
    connection: Impatient,
) -> None:
    wire = wire_of(connection)
    connection.data_received(HEAD + b"content-length: 1000000\r\n\r\n")
    for _ in range(1_000):
        connection.data_received(b"x" * 1_000)
    for _ in range(100):
        connection.data_received(HEAD + b"x: %b\r\ncontent-length: 0\r\n\r\n" % (b"y" * 2_000))
    assert (wire.sent, wire.closed) == (b"", False)


async def _half_sent(url: str, path: str) -> bytes:
    """All that comes back until the service closes the connection."""
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nhost: farm\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n{{".encode())
    async with asyncio.timeout(30):
        answer = await reader.read()
    writer.close()
    return answer


async def test_wrong_tokens_are_throttled_and_valid_ones_of_the_same_address_pass(
    database: str,
) -> None:
    app = create_app(Settings(failed_tokens_per_minute=3), database)
    async with app.router.lifespan_context(app), through(app) as client:
        token = await made(client, "viewer")
        wrong = [await client.get("/jobs", headers=bearer("wrong")) for _ in range(5)]
        assert [answer.status_code for answer in wrong] == [401] * 3 + [429] * 2
        assert 0 < int(wrong[-1].headers["retry-after"]) <= 60
        assert (await client.get("/jobs", headers=bearer(token))).status_code == 200


def test_a_throttle_forgets_after_a_minute_and_keeps_no_more_than_it_may() -> None:
    now = 0.0
    throttle = Throttle(1, lambda: now)
    assert throttle.failed("a") == 0
    assert throttle.failed("a") == 60
    assert throttle.failed("b") == 0
    now = WINDOW
    assert throttle.failed("a") == 0
    for number in range(MOST + 10):
        throttle.failed(str(number))
    assert len(throttle._failures) == MOST


async def test_a_poll_of_a_role_that_may_not_is_refused_on_both_ways(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    token = await made(client, "viewer")
    headers = (
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", b"application/json"),
    )
    for whole in (True, False):
        answer = await call(app, b"{}", whole=whole, headers=headers, token=None)
        assert answer.status == 403


# --- the first token ---


def test_on_the_embedded_database_an_admin_token_is_made_once_for_this_user_alone(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    tokens = set()
    for _ in range(2):
        found = first_token.ensured(Settings(data_dir=data, admin_token=None)).admin_token
        assert found is not None
        tokens.add(found.get_secret_value())
    assert tokens == {(data / "admin-token").read_text().strip()}
    assert len(tokens.pop()) == 64
    assert stat.S_IMODE((data / "admin-token").stat().st_mode) == 0o600
    assert [file.name for file in data.iterdir()] == ["admin-token"]


def test_on_another_database_none_is_made(tmp_path: Path) -> None:
    asked = Settings(data_dir=tmp_path, admin_token=None, database_url="postgresql://elsewhere/x")
    assert first_token.ensured(asked).admin_token is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("token", ["a b", "a\nb", "hüsh"])
def test_an_admin_token_that_cannot_be_sent_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(ValueError, match="ASCII") as refused:
        Settings(admin_token=token)
    assert token not in str(refused.value)


async def test_without_any_admin_the_service_says_so_and_runs(
    database: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with service(database, log, admin_token="") as url:
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/jobs", headers=AUTH)).status_code == 401
    assert "no_admin_token" in log.read_text()


async def test_the_log_of_a_service_shows_no_token(database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with service(database, log, admin_token="hush-hush-hush") as url:
        async with httpx.AsyncClient(base_url=url, headers=bearer("hush-hush-hush")) as client:
            for path in ("/jobs", "/nowhere", "/jobs/x"):
                await client.get(path)
            await client.post("/jobs", content=b"{")
    assert "admin_token_is_short" in log.read_text()
    assert "hush" not in log.read_text()
