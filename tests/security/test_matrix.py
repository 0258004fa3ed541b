"""Every route of the app against every kind of caller. A route that is not here fails."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.gate import OPEN, is_of_the_page
from app.main import create_app
from app.settings import Settings
from tests.farm import Farm
from tests.routes import document, every_route
from tests.tokens import AUTH, bearer, made

READERS = {"admin", "operator", "bound", "submitter", "viewer"}
EDITORS = {"admin", "operator"}
INSIDE = {*EDITORS, "bound"}  # what is done to what lies in the bound queue
SUBMITTERS = {*INSIDE, "submitter"}
WORKERS = {"admin", "agent"}
ALL = {*READERS, "metrics", "join", "agent", "other agent", "elsewhere"}

# Who may, by method and path; the calls are about the agent a0, its job, and the queue /films.
MAY: dict[str, set[str]] = {
    "POST /jobqueues": INSIDE,
    "GET /jobqueues": READERS,
    "GET /jobqueues/tree": READERS,
    "POST /jobqueues/plan": READERS,
    "POST /jobqueues/apply": INSIDE,
    "GET /jobqueues/{jobqueue_id}": READERS,
    "PATCH /jobqueues/{jobqueue_id}": INSIDE,
    "DELETE /jobqueues/{jobqueue_id}": INSIDE,
    "POST /jobs": SUBMITTERS,
    "POST /jobs/batch": SUBMITTERS,
    "GET /jobs": READERS,
    "GET /jobs/{job_id}": {*READERS, "agent"},
    "PATCH /jobs/{job_id}": SUBMITTERS,
    "DELETE /jobs/{job_id}": SUBMITTERS,
    "POST /jobs/{job_id}/pause": SUBMITTERS,
    "POST /jobs/{job_id}/resume": SUBMITTERS,
    "POST /jobs/{job_id}/rerun": SUBMITTERS,
    "POST /jobs/{job_id}/rerun-failed": SUBMITTERS,
    "GET /jobs/{job_id}/tasks": {*READERS, "agent"},
    "GET /tasks/{task_id}": {*READERS, "agent"},
    "POST /agents": {*EDITORS, "join", "agent"},
    "GET /agents": READERS,
    "GET /agents/{agent_id}": {*READERS, "agent"},
    "PATCH /agents/{agent_id}": {*EDITORS, "agent"},
    "DELETE /agents/{agent_id}": EDITORS,
    "POST /agents/{agent_id}/heartbeat": WORKERS,
    "POST /assign": WORKERS,
    "POST /assignments/{assignment_id}/results": WORKERS,
    "POST /assignments/{assignment_id}/release": WORKERS,
    "GET /jobs/{job_id}/explain": READERS,
    "GET /jobqueues/{jobqueue_id}/explain": READERS,
    "GET /agents/{agent_id}/explain": READERS,
    "GET /assignments/{assignment_id}/explain": READERS,
    "POST /simulate": READERS,
    "GET /history": READERS,
    "GET /history/figures": READERS,
    "POST /tokens": {"admin"},
    "GET /tokens": {"admin"},
    "DELETE /tokens/{token_id}": {"admin"},
    "GET /metrics": {*EDITORS, "bound", "metrics"},
}
# A token that is bound to another queue reads all the same.
MAY = {
    route: who | ({"elsewhere"} if ("bound" in who and who >= READERS) or route == "GET /metrics"
                  else set())
    for route, who in MAY.items()
}  # fmt: skip


def bodies(place: "Place") -> dict[str, Any]:
    shot = {"title": "more", "start": 1, "end": 1, "queue": "/films"}
    agent = {"id": place.ids["agent_id"], "hostname": "a0"}
    return {
        "POST /jobqueues": {"name": "below", "parent": "/films"},
        "POST /jobqueues/plan": {"root": "/films", "queues": {"inner": {"weight": 12}}},
        "POST /jobqueues/apply": {"root": "/films", "queues": {"inner": {"weight": 12}}},
        "PATCH /jobqueues/{jobqueue_id}": {"weight": 11},
        "POST /jobs": shot,
        "POST /jobs/batch": {"jobs": [shot]},
        "PATCH /jobs/{job_id}": {"weight": 11},
        "POST /agents": agent,
        "PATCH /agents/{agent_id}": {"state": "offline"},
        "POST /assign": {"agent_id": place.ids["agent_id"]},
        "POST /assignments/{assignment_id}/results": {
            "results": [{"task_id": place.ids["task_id"], "state": "running", "progress": 0.5}]
        },
        "POST /simulate": {"farm": {"agents": [{}]}, "hours": 1},
        "POST /tokens": {"role": "viewer", "name": "eve"},
    }


@dataclass
class Place:
    client: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)

    async def call(self, route: str, headers: dict[str, str]) -> httpx.Response:
        method, _, path = route.partition(" ")
        del self.client.headers["Authorization"]
        try:
            body = bodies(self).get(route)
            url = path.format(**self.ids)
            return await self.client.request(method, url, json=body, headers=headers)
        finally:
            self.client.headers.update(AUTH)


@pytest.fixture
async def place(farm: Farm, app: FastAPI) -> Place:
    """A queue with a job that a submitter submitted and an agent holds; a token of every kind."""
    client, place = farm.client, Place(farm.client)
    films = (await farm.queue("/films"))["id"]
    inner = (await farm.queue("/films/inner"))["id"]
    elsewhere = (await farm.queue("/elsewhere"))["id"]
    for role in ("operator", "submitter", "viewer", "metrics", "join"):
        place.tokens[role] = await made(client, role)
    place.tokens["bound"] = await made(client, "operator", job_queue_id=films)
    place.tokens["elsewhere"] = await made(client, "operator", job_queue_id=elsewhere)
    place.tokens["admin"] = await made(client, "admin")
    join = bearer(place.tokens["join"])
    for name in ("agent", "other agent"):
        body = {"hostname": name.replace(" ", "-")}
        joined = (await client.post("/agents", json=body, headers=join)).json()
        place.tokens[name] = joined["token"]
        place.ids.setdefault("agent_id", joined["id"])
    shot = {"title": "shot", "start": 1, "end": 9, "queue": "/films/inner"}
    job = await client.post("/jobs", json=shot, headers=bearer(place.tokens["submitter"]))
    held = await client.post("/assign", json={}, headers=bearer(place.tokens["agent"]))
    listed = (await client.get("/tokens?role=metrics")).json()["items"]
    ids: dict[str, Any] = {
        "jobqueue_id": inner,
        "job_id": job.json()["id"],
        "assignment_id": held.json()["id"],
        "task_id": held.json()["tasks"][0]["id"],
        "token_id": listed[0]["id"],
    }
    place.ids.update(ids)
    assert app.state.desk.waiting == 0
    return place


def routes() -> Iterator[str]:
    for path, methods in document()["paths"].items():
        yield from (f"{method.upper()} {path}" for method in methods if path not in OPEN)


def test_every_route_is_in_the_matrix() -> None:
    assert sorted(routes()) == sorted(MAY)


def test_the_document_says_which_routes_need_a_token() -> None:
    told = document()
    assert told["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, methods in told["paths"].items():
        for operation in methods.values():
            needed = path not in OPEN
            assert (operation.get("security") == [{"token": []}]) is needed, path
            assert ({"401", "403", "429"} <= operation["responses"].keys()) is needed, path


def test_no_route_is_hidden_from_the_document() -> None:
    app = create_app(Settings(), "postgresql+asyncpg://")
    hidden = {route.path for route in every_route(app) if not route.include_in_schema}
    assert hidden, "the docs pages are"
    assert {path for path in hidden if not is_of_the_page(path)} <= OPEN


# What takes away what other calls are about comes after them.
LATE = ("release", "PATCH /agents", "DELETE /jobs/", "DELETE /jobqueues/", "DELETE /agents/")
REFUSALS = {"forbidden", "other_subtree", "other_agent", "others_job", "not_its_work"}
NOTHING: dict[str, str] = {}


def in_turn() -> list[str]:
    """The routes, in an order in which each finds what it is about."""
    return sorted(MAY, key=lambda route: [late in route for late in reversed(LATE)])


def tampered(token: str) -> str:
    return token[:-1] + ("a" if token[-1] != "a" else "b")


def told(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code") if answer.is_error else None


@pytest.fixture
def settings() -> Settings:
    return Settings(failed_tokens_per_minute=100_000)


async def test_nobody_comes_in_without_a_token_of_the_farm(place: Place) -> None:
    wrong = (
        NOTHING,
        {"Authorization": "Basic YTpi"},
        {"Authorization": f"Basic {place.tokens['admin']}"},
        bearer("no-token"),
        bearer(tampered(place.tokens["admin"])),
        bearer(place.tokens["viewer"].replace("fq_viewer_", "fq_admin_")),
    )
    for route, headers in product(MAY, wrong):
        answer = await place.call(route, headers)
        assert told(answer) == (401, "unauthorized"), (route, headers)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("how", ["revoked_at", "expires_at"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "not known"])
async def test_nobody_comes_in_with_a_token_that_ended(
    place: Place, app: FastAPI, database: str, how: str, known: bool
) -> None:
    """Of any role, by any route, whether this process had seen the token before or not.

    What the role may not do anyway is refused as that until the process has heard the news.
    """
    if known:
        for token in place.tokens.values():
            await place.call("GET /jobs", bearer(token))
    else:
        app.state.known._kept.clear()
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute(f"UPDATE tokens SET {how} = clock_timestamp()")  # noqa: S608
    await connection.close()
    let_in = {
        (route, who): answer.status_code
        for route, who in product(MAY, sorted(ALL))
        if told(answer := await place.call(route, bearer(place.tokens[who])))
        != (401, "unauthorized")
        and not (known and who not in MAY[route] and answer.status_code == 403)
    }
    assert let_in == {}


@pytest.mark.parametrize("who", sorted(ALL))
async def test_each_may_what_is_its_and_nothing_else(place: Place, who: str) -> None:
    """Where it may not first: nothing of that changes anything."""
    refused = {route: told(await place.call(route, bearer(place.tokens[who])))
               for route in in_turn() if who not in MAY[route]}  # fmt: skip
    assert {route: one for route, one in refused.items()
            if one[0] != 403 or one[1] not in REFUSALS} == {}  # fmt: skip
    allowed = {route: told(await place.call(route, bearer(place.tokens[who])))
               for route in in_turn() if who in MAY[route]}  # fmt: skip
    assert {route: one for route, one in allowed.items() if one[0] >= 400} == {}
