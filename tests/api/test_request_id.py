"""The id of a request: in its answer, its errors and its log lines."""

import json
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
import structlog
from fastapi import FastAPI

from app import logs
from app.db.engine import transaction
from app.scheduler.desk import Desk
from tests.farm import Farm
from tests.scheduler.plain_asgi import JSON_TYPE, call


@pytest.fixture
def debug_lines(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is logged, at level debug, as JSON lines on standard error."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure("json", "debug")
    yield capsys
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def lines(captured: pytest.CaptureFixture[str], event: str) -> list[dict[str, object]]:
    text = captured.readouterr().err
    print("TEXT", text[:3000])
    found = [json.loads(line) for line in text.splitlines()]
    return [line for line in found if line["event"] == event]


@pytest.mark.parametrize("sent", ["7f3a-01", "a" * 128, "trace=1:2/3+4@b_c.d"])
@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
async def test_an_id_that_is_sent_is_given_back(farm: Farm, sent: str, path: str) -> None:
    response = await farm.client.get(path, headers={"X-Request-ID": sent})
    assert response.headers.get_list("x-request-id") == [sent]


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", 'a"b', "a\tb", "{}"])
async def test_an_id_that_is_not_sane_is_replaced(farm: Farm, sent: str) -> None:
    made = [
        (await farm.client.get("/healthz", headers={"X-Request-ID": sent})).headers["x-request-id"]
        for _ in range(2)
    ]
    assert sent not in made
    assert made[0] != made[1]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_both_ways_of_a_poll_give_it_back(
    app: FastAPI, farm: Farm, whole: bool, known: bool
) -> None:
    agent_id = (await farm.agent("a0"))["id"] if known else str(uuid4())
    headers = (*JSON_TYPE, (b"x-request-id", b"mine"))
    body = json.dumps({"agent_id": agent_id}).encode()
    answer = await call(app, body, whole=whole, headers=headers)
    assert answer.status == (204 if known else 404)
    assert answer.headers["x-request-id"] == "mine"


async def test_a_fault_of_the_service_names_its_request_in_the_answer_and_in_the_log(
    app: FastAPI, farm: Farm, debug_lines: pytest.CaptureFixture[str]
) -> None:
    async def broken() -> None:
        raise RuntimeError("boom")

    app.dependency_overrides[transaction] = broken
    response = await farm.client.get("/jobs/12", headers={"X-Request-ID": "mine"})
    assert response.status_code == 500
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"
    written = [json.loads(line) for line in debug_lines.readouterr().err.splitlines()]
    [fault] = [line for line in written if line["event"] == "request_failed"]
    [access] = [line for line in written if line["event"] == "request_error"]
    assert fault["request_id"] == access["request_id"] == "mine"
    assert (access["level"], access["route"], access["status"]) == (
        "warning",
        "/jobs/{job_id}",
        500,
    )
    assert access["job_id"] == "12"
    assert access["seconds"] >= 0


async def test_a_poll_that_fails_names_its_request(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, debug_lines: pytest.CaptureFixture[str]
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError("no")

    monkeypatch.setattr(Desk, "ask", away)
    await farm.agent("a0")
    response = await farm.ask("a0")
    assert response.status_code == 503
    request_id = response.headers["x-request-id"]
    assert response.json()["request_id"] == request_id
    [line] = lines(debug_lines, "request_error")
    assert (line["request_id"], line["route"], line["status"]) == (request_id, "/assign", 503)


async def test_a_refusal_has_no_request_id_in_its_body(farm: Farm) -> None:
    assert "request_id" not in (await farm.client.get("/jobs/12")).json()


async def test_a_request_has_a_line_at_level_debug_and_none_above_it(
    farm: Farm, debug_lines: pytest.CaptureFixture[str]
) -> None:
    await farm.client.get("/jobs/12")
    [line] = lines(debug_lines, "request")
    assert (line["level"], line["method"], line["status"]) == ("debug", "GET", 404)
    logs.configure("json", "info")
    await farm.client.get("/jobs/12")
    assert debug_lines.readouterr().err == ""
