"""The id of a request: in its answer, its errors and its log lines."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI

from app.db.engine import transaction
from app.scheduler.desk import Desk
from tests.conftest import execute
from tests.farm import Farm
from tests.processes import service
from tests.scheduler.plain_asgi import JSON_TYPE, call
from tests.tokens import AUTH


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


async def test_a_fault_of_the_service_names_its_request(app: FastAPI, farm: Farm) -> None:
    async def broken() -> None:
        raise RuntimeError("boom")

    app.dependency_overrides[transaction] = broken
    response = await farm.client.get("/jobs/12", headers={"X-Request-ID": "mine"})
    assert response.status_code == 500
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"


async def test_a_poll_that_fails_names_its_request(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise ConnectionRefusedError("no")

    monkeypatch.setattr(Desk, "ask", away)
    await farm.agent("a0")
    response = await farm.ask("a0")
    assert response.status_code == 503
    assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("whole", [True, False])
async def test_the_line_of_a_poll_that_fails_tells_how_long_it_took(
    app: FastAPI, farm: Farm, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    async def fails(*_: object) -> None:
        await asyncio.sleep(0.1)
        raise ConnectionRefusedError("no")

    monkeypatch.setattr(Desk, "ask", fails)
    body = json.dumps({"agent_id": (await farm.agent("a0"))["id"]}).encode()
    with structlog.testing.capture_logs() as lines:
        assert (await call(app, body, whole=whole)).status == 503
    [told] = [line for line in lines if line["event"] == "request_error"]
    assert told["seconds"] >= 0.1


async def test_a_refusal_has_no_request_id_in_its_body(farm: Farm) -> None:
    assert "request_id" not in (await farm.client.get("/jobs/12")).json()


def lines_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.mark.parametrize("level", ["debug", "info"])
async def test_a_request_has_a_line_at_level_debug_and_one_that_fails_at_any(
    database: str, tmp_path: Path, level: str
) -> None:
    log = tmp_path / "log"
    with service(database, log, log_format="json", log_level=level) as url:
        async with httpx.AsyncClient(
            base_url=url, headers=AUTH | {"X-Request-ID": "mine"}
        ) as client:
            farm = Farm(client)
            job_id = (await farm.job("shot"))["id"]
            await execute(database, "ALTER VIEW jobs_now RENAME TO gone")
            assert (await client.get(f"/jobs/{job_id}")).status_code == 503
            await execute(database, "ALTER VIEW gone RENAME TO jobs_now")
    mine = [line for line in lines_of(log) if line.get("request_id") == "mine"]
    why, failed = [line for line in mine if line["level"] == "warning"]
    assert why["event"] == "database_unavailable"
    told = {name: failed[name] for name in ("event", "method", "route", "status", "job_id")}
    assert told == {
        "event": "request_error",
        "method": "GET",
        "route": "/jobs/{job_id}",
        "status": 503,
        "job_id": str(job_id),
    }
    assert failed["seconds"] >= 0
    plain = [(line["route"], line["status"]) for line in mine if line["event"] == "request"]
    assert plain == ([("/jobs", 201)] if level == "debug" else [])
