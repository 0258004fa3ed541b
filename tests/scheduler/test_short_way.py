"""The short way of a poll and the framework's own give the same answer to whatever is sent."""

import json
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.scheduler.desk import Desk
from app.scheduler.schemas import MAX_RESULTS
from app.settings import Settings
from tests.farm import Farm
from tests.scheduler.plain_asgi import JSON_TYPE, Answer, call

IDLE, BUSY, DISABLED = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(3))
NOBODY = str(uuid4())
CAP = 400_000


@pytest.fixture
def settings() -> Settings:
    return Settings(fallback_poll_seconds=3600, reap_seconds=3600, max_body_bytes=CAP)


@pytest.fixture
async def known(farm: Farm) -> Farm:
    """An idle agent, a disabled one, and one that holds a task: nothing else is there to do."""
    await farm.queue("/films")
    data = {"command": ["é", 1, 1.0, True, None, 2**60, 1e-7], "b": {}, "a": ""}
    await farm.job("shot", frames="0.5", queue="/films", data=data, environ={"A": "ü"})
    for hostname, agent_id in (("busy", BUSY), ("idle", IDLE), ("disabled", DISABLED)):
        await farm.agent(hostname, id=agent_id)
    assert await farm.gets("busy") == "shot"
    await farm.set_agent("disabled", state="disabled")
    return farm


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The polls that came to the desk, whichever way they took."""
    polls: list[Any] = []
    ask = Desk.ask

    async def noted(self: Desk, request: Any, caller: Any, receive: Any) -> Any:
        polls.append(request)
        return await ask(self, request, caller, receive)

    monkeypatch.setattr(Desk, "ask", noted)
    return polls


async def same(app: FastAPI, body: bytes | dict[str, Any], **options: Any) -> Answer:
    """The answer of both ways."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    short = await call(app, sent, whole=True, **options)
    long = await call(app, sent, whole=False, **options)
    assert short.told == long.told
    for answer in (short, long):
        assert answer.headers.get("content-length", "0") == str(len(answer.body))
    return short


def result(**fields: Any) -> dict[str, Any]:
    return {"task_id": 1_048_576, "state": "running"} | fields


BODIES: dict[str, tuple[int, dict[str, Any] | bytes]] = {
    "work": (200, {"agent_id": BUSY}),
    "work, and how far it is": (200, {"agent_id": BUSY, "results": [result(progress=0.5)]}),
    "nothing": (204, {"agent_id": IDLE, "free_ram": 5}),
    "unknown agent": (404, {"agent_id": NOBODY}),
    "disabled agent": (409, {"agent_id": DISABLED}),
    "stale": (409, {"agent_id": IDLE, "assignment_id": 99, "results": [result()]}),
    "task of another": (409, {"agent_id": BUSY, "results": [result(task_id=7)]}),
    "id in capitals": (200, {"agent_id": BUSY.upper()}),
    "id in braces": (200, {"agent_id": "{" + BUSY + "}"}),
    "id as a URN": (200, {"agent_id": f"urn:uuid:{BUSY}"}),
    "id without hyphens": (200, {"agent_id": BUSY.replace("-", "")}),
    "whole wait": (200, {"agent_id": BUSY, "wait": 1}),
    "broken": (422, b'{"agent_id": '),
    "no body": (422, b""),
    "null": (422, b"null"),
    "a list": (422, b"[]"),
    "unknown field": (422, {"agent_id": BUSY, "color": "red"}),
    "no agent": (422, {}),
    "id that is none": (422, {"agent_id": "me"}),
    "id that is a number": (422, {"agent_id": 7}),
    "wait as text": (422, {"agent_id": BUSY, "wait": "1"}),
    "wait as truth": (422, {"agent_id": BUSY, "wait": True}),
    "wait over 60": (422, {"agent_id": BUSY, "wait": 60.1}),
    "memory with a point": (422, {"agent_id": BUSY, "free_ram": 1.0}),
    "memory below 0": (422, {"agent_id": BUSY, "free_ram": -1}),
    "number past 64 bits": (422, {"agent_id": BUSY, "assignment_id": 2**63}),
    "unknown state": (422, {"agent_id": BUSY, "results": [result(state="lost")]}),
    "too many results": (422, {"agent_id": BUSY, "results": [{}] * (MAX_RESULTS + 1)}),
    "NUL": (422, {"agent_id": BUSY, "results": [result(error="a\0b")]}),
    "NaN": (422, b'{"agent_id": "%s", "wait": NaN}' % BUSY.encode()),
    "past all numbers": (422, b'{"agent_id": "%s", "wait": 1e999}' % BUSY.encode()),
    "half a surrogate": (
        422,
        b'{"agent_id": "%s", "results": [{"task_id": 1, "state": "failed", "error": "\\ud800"}]}'
        % BUSY.encode(),
    ),
    "the same field twice": (200, b'{"agent_id": 7, "agent_id": "%s"}' % BUSY.encode()),
    "the wrong one of two": (422, b'{"agent_id": "%s", "agent_id": 7}' % BUSY.encode()),
    "byte order mark": (200, b'\xef\xbb\xbf{"agent_id": "%s"}' % BUSY.encode()),
    "UTF-16": (200, json.dumps({"agent_id": BUSY}).encode("utf-16")),
    "not UTF-8": (400, b'{"agent_id": "\xff"}'),
    "something behind": (422, b'{"agent_id": "%s"} x' % BUSY.encode()),
    "over the cap": (413, b'{"agent_id": "%s"%s}' % (BUSY.encode(), b" " * CAP)),
    "up to the cap": (200, b'{"agent_id": "%s"}' % BUSY.encode() + b" " * (CAP - 52)),
    "deep": (400, b"[" * 1_500),
}


@pytest.mark.parametrize("name", BODIES)
async def test_both_ways_answer_the_same(known: Farm, app: FastAPI, name: str) -> None:
    del known
    status, body = BODIES[name]
    assert (await same(app, body)).status == status


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json; charset=latin-1", 200),
        ("application/json;charset=utf-16", 200),
        ("application/vnd.farm+json", 200),
        ("APPLICATION/JSON", 200),
        (" application/json", 200),
        ("application/jsonlines", 422),
        ("application/json-seq", 422),
        ("text/plain", 422),
        ("application/x-www-form-urlencoded", 422),
        ("", 422),
    ],
)
async def test_both_ways_heed_the_content_type(
    known: Farm, app: FastAPI, content_type: str, status: int
) -> None:
    del known
    headers = ((b"content-type", content_type.encode()),)
    assert (await same(app, {"agent_id": BUSY}, headers=headers)).status == status


@pytest.mark.parametrize("headers", [(), (*JSON_TYPE, (b"content-type", b"text/plain"))])
async def test_both_ways_heed_a_content_type_that_is_missing_or_there_twice(
    known: Farm, app: FastAPI, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    del known
    await same(app, {"agent_id": BUSY}, headers=headers)


@pytest.mark.parametrize("root_path", ["", "/farm", "/a/b"])
async def test_both_ways_are_found_below_the_prefix_of_a_proxy(
    known: Farm, app: FastAPI, asked: list[Any], root_path: str
) -> None:
    del known
    assert (await same(app, {"agent_id": BUSY}, root_path=root_path)).status == 200
    assert len(asked) == 2
    assert asked[0] == asked[1]


@pytest.mark.parametrize("path", ["/assign/", "/assignments", "/Assign", "//assign"])
async def test_other_paths_are_not_polls(known: Farm, app: FastAPI, path: str) -> None:
    del known
    assert (await same(app, {"agent_id": BUSY}, path=path)).status in {307, 404, 405}


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS"])
async def test_other_methods_are_refused(known: Farm, app: FastAPI, method: str) -> None:
    del known
    assert (await same(app, {"agent_id": BUSY}, method=method)).status == 405


@pytest.mark.parametrize("root_path", ["", "/farm"])
async def test_a_plain_poll_takes_the_short_way(
    known: Farm, app: FastAPI, asked: list[Any], monkeypatch: pytest.MonkeyPatch, root_path: str
) -> None:
    del known

    async def never(*_: object) -> None:
        raise AssertionError("the framework's way")

    monkeypatch.setattr(FastAPI, "__call__", never)
    body = json.dumps({"agent_id": BUSY}).encode()
    assert (await call(app, body, whole=True, root_path=root_path)).status == 200
    assert len(asked) == 1


async def test_the_document_tells_of_the_route(app: FastAPI) -> None:
    route = app.openapi()["paths"]["/assign"]["post"]
    assert {"200", "204", "404", "409", "422"} <= route["responses"].keys()
    assert "AssignRequest" in json.dumps(route["requestBody"])


# --- whatever comes ---

odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
    st.just([]), st.just({}), st.just(2**63), st.just("1"), st.just(-0.0),
)  # fmt: skip
ids = st.sampled_from([IDLE, BUSY, DISABLED, NOBODY])
states = st.sampled_from(["running", "running", "RUNNING", "lost"])
a_result = st.fixed_dictionaries(
    {"task_id": st.sampled_from([1_048_576, 1_048_576, 5]) | odd, "state": states | odd},
    optional={"progress": st.floats(0, 1) | odd, "error": st.text(max_size=9) | odd, "x": odd},
)
bodies = st.fixed_dictionaries(
    {"agent_id": ids | ids | ids | odd},
    optional={
        "wait": st.just(0) | odd.filter(lambda wait: not isinstance(wait, int | float) or wait < 0),
        "free_ram": st.integers(-1, 2**31) | odd,
        "assignment_id": st.integers(0, 2) | odd,
        "results": st.lists(a_result, max_size=3) | odd,
        "y": odd,
    },
)


async def test_both_ways_answer_the_same_to_whatever_comes(known: Farm, app: FastAPI) -> None:
    """Drawn first, then sent: hypothesis calls what is not asynchronous."""
    del known
    drawn: list[Any] = [{"agent_id": BUSY}, {}]

    @given(bodies)
    @examples(max_examples=50, database=None, suppress_health_check=list(HealthCheck))
    def draw(body: Any) -> None:
        drawn.append(body)

    draw()
    statuses = {(await same(app, body)).status for body in drawn}
    assert {200, 422} <= statuses
