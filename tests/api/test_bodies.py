"""Bodies that are no use: refused with a problem, never a 500, never sent back."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.settings import Settings

SECRET = "hunter2"
JSON = {"content-type": "application/json"}
POSTS = ["/jobqueues", "/jobs", "/jobs/batch", "/agents", "/assign", "/assignments/1/results"]


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=100_000)


def refused(answer: httpx.Response, *statuses: int) -> None:
    assert answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    assert answer.json()["detail"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_over_the_cap_is_refused_by_its_length(
    client: httpx.AsyncClient, path: str
) -> None:
    refused(await client.post(path, content=b'"' + SECRET.encode() * 20_000, headers=JSON), 413)


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_over_the_cap_is_refused_by_what_is_received(
    client: httpx.AsyncClient, path: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield SECRET.encode() * 1_000

    refused(await client.post(path, content=chunks(), headers=JSON), 413)


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        SECRET.encode(),
        b'"' + SECRET.encode() + b'"',
        b"[]",
        b"null",
        b"[" * 50_000,
        b"\xff\xfe\x00",
        b'{"name": "' + SECRET.encode() + b'\xff"}',
        b'{"' + SECRET.encode() + b'": NaN',
    ],
)
async def test_what_is_not_the_json_of_the_route_is_refused(
    client: httpx.AsyncClient, path: str, body: bytes
) -> None:
    refused(await client.post(path, content=body, headers=JSON), 400, 422)


@pytest.mark.parametrize("path", POSTS)
async def test_a_wrong_value_is_not_sent_back(client: httpx.AsyncClient, path: str) -> None:
    wrong = {"name": {"x": SECRET}, "title": [SECRET], "hostname": 5, "agent_id": SECRET}
    refused(await client.post(path, json=wrong), 422)


async def test_an_answer_does_not_grow_with_what_is_wrong(client: httpx.AsyncClient) -> None:
    nonsense = {f"field {number}": 1 for number in range(5_000)}
    answer = await client.post("/jobqueues", json={"name": "q"} | nonsense)
    refused(answer, 422)
    assert len(answer.json()["errors"]) == 50
    assert "5000 in all" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/jobqueues/x", "/jobqueues/0", f"/jobs/{2**63}", "/agents/hunter2", "/tasks/-1"]
)
async def test_an_id_that_cannot_be_is_a_422(client: httpx.AsyncClient, path: str) -> None:
    refused(await client.get(path), 422)


@pytest.mark.parametrize(
    "query",
    ["/jobqueues?fullpath=/%00", "/jobqueues?name=a/b", "/jobs?state=asleep", "/jobs?cursor=x"],
)
async def test_a_query_that_cannot_be_is_a_422(client: httpx.AsyncClient, query: str) -> None:
    refused(await client.get(query), 422)
