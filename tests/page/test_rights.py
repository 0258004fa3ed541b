"""The page does for each what the API does for their token, and nothing else."""

import json
import re
from collections.abc import Iterator
from unittest.mock import AsyncMock

import pytest
from fastapi import FastAPI

from app.gate import is_of_the_page
from app.main import create_app
from app.settings import Settings
from tests.farm import Farm
from tests.page.visitor import Visitor, visitor
from tests.routes import every_route
from tests.tokens import bearer, made

READERS = {"admin", "operator", "bound", "submitter", "viewer"}
EDITORS = {"admin", "operator"}
INSIDE = {*EDITORS, "bound"}
SUBMITTERS = {*INSIDE, "submitter"}

# Who may, by method and path: about /films/inner, the job of the submitter in it, the agent a0.
MAY: dict[str, set[str]] = {
    "GET /": READERS,
    "GET /page/queues/rows": READERS,
    "GET /page/queues/0": READERS,
    "GET /page/queues/{queue_id}/why": READERS,
    "GET /page/jobs/{job_id}/why": READERS,
    "GET /page/agents/{agent_id}/why": READERS,
    "GET /page/queues/{queue_id}": READERS,
    "POST /page/queues": INSIDE,
    "POST /page/queues/{queue_id}": INSIDE,
    "POST /page/queues/{queue_id}/preview": INSIDE,
    "POST /page/queues/{queue_id}/day": INSIDE,
    "POST /page/queues/{queue_id}/move": INSIDE,
    "POST /page/queues/{queue_id}/pause": INSIDE,
    "POST /page/queues/{queue_id}/resume": INSIDE,
    "POST /page/queues/{queue_id}/delete": INSIDE,
    "GET /page/jobs": READERS,
    "POST /page/jobs/pause": SUBMITTERS,
    "POST /page/jobs/resume": SUBMITTERS,
    "POST /page/jobs/retry": SUBMITTERS,
    "POST /page/jobs/priority": SUBMITTERS,
    "POST /page/jobs/move": SUBMITTERS,
    "GET /page/jobs/{job_id}": READERS,
    "GET /page/jobs/{job_id}/facts": READERS,
    "GET /page/jobs/{job_id}/runs": READERS,
    "GET /page/jobs/{job_id}/tasks/{ordinal}": READERS,
    "POST /page/jobs/{job_id}": SUBMITTERS,
    "POST /page/jobs/{job_id}/pause": SUBMITTERS,
    "POST /page/jobs/{job_id}/resume": SUBMITTERS,
    "POST /page/jobs/{job_id}/retry": SUBMITTERS,
    "POST /page/jobs/{job_id}/rerun": SUBMITTERS,
    "POST /page/jobs/{job_id}/delete": SUBMITTERS,
    "GET /page/agents": READERS,
    "GET /page/agents/{agent_id}": READERS,
    "POST /page/agents/state": EDITORS,
    "POST /page/agents/{agent_id}/state": EDITORS,
    "POST /page/agents/{agent_id}/delete": EDITORS,
    "GET /page/history": READERS,
    "GET /page/history/figures": READERS,
    "POST /page/logout": READERS,
}
# A stream has no end to wait for: its rights have a test of their own.
STREAMS = {"GET /page/live/{topic}"}
OPEN = {"GET /page/login", "POST /page/login"}
# What is no page; it is for who is logged in as well.
NOWHERE = {"GET /page/{rest:path}"}

FORMS = {
    "POST /page/queues": {"name": "new", "parent": "/films"},
    "POST /page/queues/{queue_id}": {"weight": "11"},
    "POST /page/queues/{queue_id}/preview": {"weight": "12"},
    "POST /page/queues/{queue_id}/day": {"weight": "12"},
    "POST /page/queues/{queue_id}/move": {"parent": "/films/other"},
    "POST /page/jobs/priority": {"priority": "3"},
    "POST /page/jobs/move": {"queue": "/films/other"},
    "POST /page/jobs/{job_id}": {"weight": "11"},
    "POST /page/agents/state": {"state": "draining"},
    "POST /page/agents/{agent_id}/state": {"state": "online"},
}
# What takes away what other calls are about comes last.
LATE = ("move", "delete", "logout")
REFUSALS = {"forbidden", "other_subtree", "others_job"}


def routes() -> Iterator[str]:
    for route in every_route(create_app(Settings(), "postgresql+asyncpg://")):
        if is_of_the_page(route.path):
            yield from (f"{method} {route.path}" for method in route.methods or ())


def test_every_route_of_the_page_is_in_the_matrix() -> None:
    assert sorted(routes()) == sorted(MAY.keys() | STREAMS | OPEN | NOWHERE)


class Place:
    def __init__(self, app: FastAPI, farm: Farm) -> None:
        self.app, self.farm = app, farm
        self.tokens: dict[str, str] = {}
        self.path: dict[str, object] = {}

    async def call(self, guest: Visitor, route: str) -> tuple[int, str | None]:
        method, _, path = route.partition(" ")
        address = path.format(**self.path)
        if method == "GET":
            answer = await guest.get(address, **{"HX-Request": "true"})
        else:
            of_jobs = "agent" not in path
            form = {"id": str(self.path["job_id" if of_jobs else "agent_id"])}
            answer = await guest.post(address, form | FORMS.get(route, {}))
        code = answer.json()["code"] if answer.is_error else None
        return answer.status_code, code


def a_day(queue_id: int) -> bytes:
    """What a simulation says of it."""
    row = {"id": queue_id, "queue": "/films/inner", "mean_agents": 0.5, "finish_seconds": None,
           "tasks_left": 9}  # fmt: skip
    return json.dumps({"baseline": {"queues": [row]}, "changed": {"queues": [row]}}).encode()


@pytest.fixture
async def place(app: FastAPI, farm: Farm) -> Place:
    place = Place(app, farm)
    films = (await farm.queue("/films"))["id"]
    inner = (await farm.queue("/films/inner"))["id"]
    await farm.queue("/films/other")
    elsewhere = (await farm.queue("/elsewhere"))["id"]
    for role in ("admin", "operator", "submitter", "viewer"):
        place.tokens[role] = await made(farm.client, role)
    place.tokens["bound"] = await made(farm.client, "operator", job_queue_id=films)
    place.tokens["elsewhere"] = await made(farm.client, "operator", job_queue_id=elsewhere)
    place.tokens["other submitter"] = await made(farm.client, "submitter")
    shot = {"title": "shot", "start": 1, "end": 9, "queue": "/films/inner"}
    headers = bearer(place.tokens["submitter"])
    job = (await farm.client.post("/jobs", json=shot, headers=headers)).json()["id"]
    agent = (await farm.agent("a0"))["id"]
    app.state.simulations.simulate = AsyncMock(return_value=a_day(inner))  # no process for each
    place.path = {"queue_id": inner, "job_id": job, "agent_id": agent, "ordinal": 0}
    return place


def in_turn() -> list[str]:
    return sorted(MAY, key=lambda route: [late in route for late in reversed(LATE)])


@pytest.mark.parametrize("who", ["admin", "operator", "bound", "submitter", "viewer"])
async def test_each_may_what_their_token_may(place: Place, who: str) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens[who])
    refused = {
        route: await place.call(guest, route) for route in in_turn() if who not in MAY[route]
    }
    assert {route: told for route, told in refused.items()
            if told[0] != 403 or told[1] not in REFUSALS} == {}  # fmt: skip
    for route in in_turn():
        if who in MAY[route]:
            if route.endswith("queues/{queue_id}/delete"):
                await place.farm.client.delete(f"/jobs/{place.path['job_id']}")
            status, code = await place.call(guest, route)
            assert status in {200, 204}, (route, status, code)


async def test_nobody_does_anything_who_is_not_logged_in(place: Place) -> None:
    guest = visitor(place.app)
    for route in [*in_turn(), "GET /page/live/jobs", "GET /page/nope"]:
        assert await place.call(guest, route) == (401, "not_logged_in"), route


@pytest.mark.parametrize("who", ["elsewhere", "other submitter"])
async def test_what_is_not_theirs_is_refused_one_by_one_and_in_bulk(place: Place, who: str) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens[who])
    for route, may in MAY.items():
        if "POST /page/jobs" in route and "submitter" in may:
            status, code = await place.call(guest, route)
            assert (status, code in REFUSALS) == (403, True), route


async def test_of_many_those_are_done_that_may_be_and_the_others_named(place: Place) -> None:
    mine, theirs = place.path["job_id"], (await place.farm.job("theirs"))["id"]
    guest = visitor(place.app)
    await guest.log_in(place.tokens["submitter"])
    told = await guest.must("/page/jobs/pause", {"id": [str(mine), str(theirs)]})
    assert told.startswith(f"1 job is paused; 1 refused: job {theirs} was submitted with another")
    assert (await place.farm.get(f"/jobs/{mine}"))["paused"] is True
    assert (await place.farm.get(f"/jobs/{theirs}"))["paused"] is False


@pytest.mark.parametrize("wrong", ["", "x", "0", "-5", str(2**63), "9" * 20])
async def test_what_is_no_id_of_a_job_is_refused_in_bulk(place: Place, wrong: str) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens["operator"])
    answer = await guest.post("/page/jobs/pause", {"id": [str(place.path["job_id"]), wrong]})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "id")
    assert (await place.farm.get(f"/jobs/{place.path['job_id']}"))["paused"] is False


async def test_what_is_told_fits_into_the_header_that_proxies_take(place: Place) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens["operator"])
    path = "/films"
    for _ in range(4):
        deepest = await place.farm.queue(f"{path}/{'é' * 255}")
        path = deepest["fullpath"]
    answer = await guest.post(f"/page/queues/{deepest['id']}/pause")
    assert (answer.status_code, len(answer.headers["HX-Trigger"]) < 2_000) == (204, True)


async def test_who_may_only_look_sees_nothing_to_change(place: Place) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens["viewer"])
    for path in ("/", "/page/queues/0", "/page/queues/{queue_id}", "/page/jobs",
                 "/page/jobs/{job_id}", "/page/agents", "/page/agents/{agent_id}"):  # fmt: skip
        text = await guest.read(path.format(**place.path))
        assert text.count("hx-post=") == text.count("/page/logout"), path
        assert "data-edit" not in text


async def offered(guest: Visitor, path: str) -> set[str]:
    """What can be done on a page, by the last part of where it is sent to."""
    sent = re.findall(r'hx-post="([^"]*)"', await guest.read(path))
    return {address.rpartition("/")[2] for address in sent} - {"logout"}


JOBS_OWN = {"pause", "rerun", "delete"}


@pytest.mark.parametrize("who", ["submitter", "bound", "other submitter", "operator"])
async def test_a_job_offers_what_its_reader_may_do_to_it_and_nothing_else(
    place: Place, who: str
) -> None:
    away = (await place.farm.job("away", queue="/elsewhere"))["id"]
    guest = visitor(place.app)
    await guest.log_in(place.tokens[who])
    listed = re.findall(r'name="id" value="(\d+)"', await guest.read("/page/jobs"))
    for job_id in (place.path["job_id"], away):
        answer = await guest.post(f"/page/jobs/{job_id}/resume")
        may = answer.status_code == 204
        assert may or answer.status_code == 403
        for part in ("", "/facts"):
            found = await offered(guest, f"/page/jobs/{job_id}{part}")
            # Settings are sent to the job itself.
            wanted = JOBS_OWN | ({str(job_id)} if part == "" else set()) if may else set()
            assert found == wanted, (job_id, part)
        assert (str(job_id) in listed) is may
    assert ('id="all" aria-label="Choose all" hidden' in await guest.read("/page/jobs")) is (
        not listed
    )


async def test_an_operator_of_a_queue_is_offered_what_is_in_it(place: Place) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens["bound"])
    films, inner, elsewhere = (
        place.farm.queues[one] for one in ("/films", "/films/inner", "/elsewhere")
    )
    own = {"pause", "preview", "day", "queues"}
    assert await offered(guest, f"/page/queues/{films}") == own | {str(films)}
    assert 'name="name" value=' not in await guest.read(f"/page/queues/{films}")
    assert await offered(guest, f"/page/queues/{inner}") == own | {str(inner), "delete", "move"}
    assert 'name="name" value="inner"' in await guest.read(f"/page/queues/{inner}")
    for path in (f"/page/queues/{elsewhere}", "/page/queues/0", "/page/agents"):
        assert await offered(guest, path) == set(), path
    assert "New queue" not in await guest.read("/page/queues/0")
    assert f'data-edit="{films}"' in await guest.read("/")


@pytest.mark.parametrize("who", ["submitter", "viewer"])
async def test_who_may_change_no_queue_is_offered_none(place: Place, who: str) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens[who])
    for path in ("/page/queues/{queue_id}", "/page/queues/0", "/page/agents"):
        assert await offered(guest, path.format(**place.path)) == set()
    assert "data-edit" not in await guest.read("/")


async def test_what_is_done_here_is_in_the_history_under_the_name_of_the_token(
    place: Place,
) -> None:
    guest = visitor(place.app)
    await guest.log_in(place.tokens["operator"])
    await guest.must("/page/queues/{queue_id}/pause".format(**place.path))
    events = await place.farm.get(f"/history?job_queue_id={place.path['queue_id']}")
    assert [event["actor"] for event in events["items"]][-1] == "operator:operator"
