"""The tree as a file, over HTTP: what is different, and making the farm as the file says."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI

from app.plan.schemas import MOST_QUEUES
from app.plan.workshop import Turn, Workshop
from app.simulation.confined import NICE
from tests.api.statements import recorded
from tests.audit.spoiling import audited
from tests.farm import Farm
from tests.tokens import bearer, made

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    """One process for all tests: to begin one takes longer than any of them."""
    shared = Workshop("")
    yield shared
    await shared.close()


@pytest.fixture(autouse=True)
def _the_workshop(app: FastAPI, database: str, workshop: Workshop) -> Iterator[None]:
    own, workshop.url = app.state.workshop, database
    app.state.workshop = app.state.entitlements.workshop = workshop
    yield
    app.state.workshop = app.state.entitlements.workshop = own


async def plan(farm: Farm, file: Json, **query: Any) -> Json:
    answer = await farm.client.post("/jobqueues/plan", json=file, params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def apply(farm: Farm, file: Json, **query: Any) -> httpx.Response:
    return await farm.client.post("/jobqueues/apply", json=file, params=query)


def told(planned: Json) -> list[str]:
    return [f"{one['action']} {one['path']}" for one in planned["changes"]]


async def paths(farm: Farm) -> set[str]:
    found = await farm.get("/jobqueues?limit=1000")
    return {queue["fullpath"] for queue in found["items"]}


@pytest.fixture
async def films(farm: Farm) -> Farm:
    await farm.queue("/films", weight=60)
    await farm.queue("/films/hero", minimum_agents=2)
    await farm.queue("/tv", weight=30, paused=True)
    return farm


AS_IT_IS: Json = {
    "queues": {
        "films": {"weight": 60, "queues": {"hero": {"minimum_agents": 2}}},
        "tv": {"weight": 30},
    }
}


async def test_a_file_that_says_what_is_there_plans_nothing(films: Farm) -> None:
    planned = await plan(films, AS_IT_IS)
    assert (planned["changes"], planned["unlisted"], planned["entitled"]) == ([], [], [])


async def test_a_plan_tells_each_change_and_changes_nothing(films: Farm) -> None:
    file = {
        "queues": {
            "ads": None,
            "films": {"weight": 70},
            "series": {"moved_from": "/tv", "weight": 30},
        }
    }
    planned = await plan(films, file)
    assert told(planned) == ["create /ads", "change /films", "move /series"]
    assert planned["changes"][1]["fields"] == {"weight": {"before": 60, "after": 70}}
    assert planned["changes"][2]["moved_from"] == "/tv"
    assert planned["unlisted"] == ["/films/hero"]
    assert await paths(films) == {"/films", "/films/hero", "/tv"}


async def test_what_is_applied_is_the_farm_afterwards_and_once_more_it_is_nothing(
    films: Farm, database: str
) -> None:
    await films.job("shot", tasks=9, queue="/films/hero")
    await films.agent("a0")
    await films.assign("a0")
    hero, tv = films.queues["/films/hero"], films.queues["/tv"]
    file = {
        "queues": {
            "ads": {"queues": {"spot": {"maximum_agents": 3}, "hero": {"id": hero, "weight": 5}}},
            "films": {"id": tv, "weight": 1},
        }
    }
    answer = await apply(films, file, delete=True)
    assert answer.status_code == 200, answer.text
    assert told(answer.json()) == [
        "create /ads",
        "create /ads/spot",
        "move /ads/hero",
        "move /films",
        "delete /films",
    ]
    assert await paths(films) == {"/ads", "/ads/spot", "/ads/hero", "/films"}
    moved = await films.get(f"/jobqueues/{hero}")
    assert (moved["fullpath"], moved["weight"], moved["minimum_agents"]) == ("/ads/hero", 5, None)
    assert moved["assigned_agents"] == 1
    assert (await films.get(f"/jobqueues/{tv}"))["paused"] is True
    spot = (await films.get("/jobqueues?fullpath=/ads/spot"))["items"][0]
    assert spot["maximum_agents"] == 3
    assert told((await apply(films, file, delete=True)).json()) == []
    assert await audited(database, history=True) == []


async def test_the_history_tells_each_edit_as_if_it_were_single(films: Farm) -> None:
    hero, tv = films.queues["/films/hero"], films.queues["/tv"]
    token = await made(films.client, "operator", name="olga")
    films.client.headers.update(bearer(token))
    file = {"queues": {"new": {"queues": {"hero": {"id": hero, "weight": 5, "minimum_agents": 2}}},
                       "films": {"weight": 60}}}  # fmt: skip
    assert (await apply(films, file, delete=True)).status_code == 200
    [new] = (await films.get("/jobqueues?fullpath=/new"))["items"]
    told_of_new = (await films.get(f"/history?job_queue_id={new['id']}"))["items"]
    assert [(one["actor"], one["action"]) for one in told_of_new] == [
        ("operator:olga", "jobqueue.created")
    ]
    single = (await films.get(f"/history?job_queue_id={tv}"))["items"]
    assert told_of_new[0]["detail"].keys() == single[0]["detail"].keys()
    assert single[-1]["detail"] == {"fullpath": "/tv"}
    assert (await films.get(f"/history?job_queue_id={hero}"))["items"][-1]["detail"] == {
        "from": {"weight": 10, "parent_jobqueue_id": films.queues["/films"]},
        "to": {"weight": 5, "parent_jobqueue_id": new["id"]},
    }


async def test_a_queue_with_jobs_is_never_deleted_and_nothing_else_is_done(films: Farm) -> None:
    await films.job("shot", queue="/films/hero")
    file = {"queues": {"ads": None}}
    blocked = (await plan(films, file, delete=True))["blocked"]
    assert [(one["path"], one["jobs"]) for one in blocked] == [("/films/hero", 1)]
    answer = await apply(films, file, delete=True)
    assert (answer.status_code, answer.json()["code"]) == (409, "jobqueue_in_use")
    assert "moved_from: /films/hero" in answer.json()["detail"]
    assert await paths(films) == {"/films", "/films/hero", "/tv"}


async def test_a_plan_is_applied_only_to_the_farm_that_it_was_made_of(films: Farm) -> None:
    file = {"root": "/films", "queues": {"hero": {"weight": 1}}}
    seen = (await plan(films, file))["fingerprint"]
    await films.set_queue("/films/hero", weight=7)
    answer = await apply(films, file, fingerprint=seen)
    assert (answer.status_code, answer.json()["code"]) == (409, "plan_outdated")
    seen = (await plan(films, file))["fingerprint"]
    other = {"root": "/films", "queues": {"hero": {"weight": 2}}}
    assert (await apply(films, other, fingerprint=seen)).status_code == 409
    assert (await apply(films, file, fingerprint=seen, delete=True)).status_code == 409
    await films.set_queue("/tv", weight=31)  # it is no part of what the file is about
    assert (await apply(films, file, fingerprint=seen)).status_code == 200


async def test_of_two_that_apply_the_same_plan_one_does_it(films: Farm) -> None:
    file = {"root": "/films", "queues": {"hero": {"weight": 1}, "new": None}}
    seen = (await plan(films, file))["fingerprint"]
    answers = await asyncio.gather(*(apply(films, file, fingerprint=seen) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_process_that_is_gone_is_begun_anew(films: Farm, workshop: Workshop) -> None:
    await plan(films, AS_IT_IS)
    assert workshop._process is not None
    workshop._process.kill()
    answers = [await films.client.post("/jobqueues/plan", json=AS_IT_IS) for _ in range(2)]
    assert answers[0].status_code in {200, 503}
    assert answers[1].status_code == 200


async def test_queues_move_up_one_after_the_other_and_a_place_that_is_taken_is_refused(
    farm: Farm,
) -> None:
    first, second = [(await farm.queue(path))["id"] for path in ("/a", "/b")]
    moved = {"b": {"moved_from": "/a"}}
    refused = await apply(farm, {"queues": moved}, delete=True)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "/b")
    assert "another queue (id 2) is here" in refused.json()["detail"]
    file = {"queues": {**moved, "c": {"moved_from": "/b"}}}
    for changes in (["move /b", "move /c"], []):
        assert told((await apply(farm, file, delete=True)).json()) == changes
        found = [(await farm.get(f"/jobqueues/{one}"))["fullpath"] for one in (first, second)]
        assert found == ["/b", "/c"]


async def test_many_edits_take_as_many_statements_as_few(films: Farm, app: FastAPI) -> None:
    def file(number: int) -> Json:
        return {"queues": {f"{number} {place}": {"queues": {"a": None}} for place in range(number)}}

    counts = []
    for number in (1, 100):
        with recorded(app) as statements:
            assert (await apply(films, file(number), delete=True)).status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1]


async def test_a_plan_that_an_edit_outdated_is_made_anew_while_edits_wait_and_agents_work(
    films: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edit and the work come in the middle of a plan: first of one, then of the other."""
    hero = films.queues["/films/hero"]
    nice, edits = list[int](), list[asyncio.Task[httpx.Response]]()

    async def planned(self: Turn, *question: Any) -> Any:
        found = await planning(self, *question)
        assert self.workshop._process is not None
        nice.append(psutil.Process(self.workshop._process.pid).nice())
        edit = films.client.patch(f"/jobqueues/{hero}", json={"priority": len(nice)})
        edits.append(asyncio.create_task(edit))
        if len(nice) == 1:
            assert (await edits[0]).status_code == 200
        else:
            assert await films.assign("a host") is not None
            assert not (await asyncio.wait(edits[1:], timeout=0.5))[0]
        return found

    await plan(films, AS_IT_IS)
    await films.job("shot", queue="/films/hero")
    await films.agent("a host")
    planning = Turn.orders
    monkeypatch.setattr(Turn, "orders", planned)
    answer = await apply(films, {"root": "/films", "queues": {"hero": {"priority": 9}}})
    assert told(answer.json()) == ["change /films/hero"]
    assert answer.json()["changes"][0]["fields"]["priority"] == {"before": 1, "after": 9}
    # The edit that waited comes after it, of what it then finds.
    assert (await edits[1]).json()["priority"] == 2
    # Others wait for the second plan: it is not behind them.
    own = psutil.Process().nice()
    assert nice == [min(own + NICE, 19), own]


async def test_a_part_leaves_all_else_as_it_is(films: Farm) -> None:
    answer = await apply(films, {"root": "/films", "queues": {"villain": None}}, delete=True)
    assert told(answer.json()) == ["create /films/villain", "delete /films/hero"]
    assert await paths(films) == {"/films", "/films/villain", "/tv"}


WRONG: list[tuple[Any, dict[str, str]]] = [
    ([], {"body": "must be an object"}),
    ({"quees": {}}, {"quees": "is no field"}),
    ({"root": "films"}, {"root": "pattern"}),
    ({"root": "/nowhere"}, {"root": "no queue /nowhere"}),
    (
        {
            "queues": {
                "a": {"weight": -1, "wait": 1, "queues": {"b": {"priority": "5"}, "c/d": {}}},
                "e": {"minimum_agents": 5, "maximum_agents": 4},
                "f": 7,
                "g": {"queues": []},
            }
        },
        {
            "/a: weight": "greater than or equal to 0",
            "/a: wait": "not permitted",
            "/a/b: priority": "valid integer",
            "/a/c/d": "is no name of a queue",
            "/e: maximum_agents": "must not be over",
            "/f": "must be a queue",
            "/g: queues": "by their names",
        },
    ),
    (
        {"queues": {"a": {"id": 4711}, "b": {"moved_from": "/gone"}}},
        {"/a": "no queue with id 4711", "/b": "no queue /gone"},
    ),
]


@pytest.mark.parametrize(("file", "places"), WRONG)
@pytest.mark.parametrize("route", ["plan", "apply"])
async def test_each_place_that_is_wrong_is_listed(
    films: Farm, route: str, file: Any, places: dict[str, str]
) -> None:
    answer = await films.client.post(f"/jobqueues/{route}", json=file)
    assert answer.status_code == 422, answer.text
    found = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert found.keys() == places.keys()
    for place, message in places.items():
        assert message in found[place]


def nested(levels: int) -> Json:
    file: Json = {}
    for _ in range(levels):
        file = {"queues": {"a": file}}
    return file


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "is not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"queues": {"a": {"weight": 1}, "a": {"weight": 2}}}', "'a' is there twice"),
        (b'{"queues": {"\\ud800": {}}}', "valid Unicode"),
    ],
)
async def test_a_body_that_is_no_file_is_refused(farm: Farm, body: bytes, message: str) -> None:
    answer = await farm.client.post("/jobqueues/plan", content=body)
    assert answer.status_code == 422, answer.text
    assert message in answer.json()["detail"]


async def test_a_tree_that_is_too_deep_or_too_large_is_refused(farm: Farm) -> None:
    deep = await farm.client.post("/jobqueues/plan", json=nested(33))
    assert (deep.status_code, deep.json()["errors"][0]["field"]) == (422, "/a" * 33)
    assert (await plan(farm, nested(32)))["changes"]
    many = {"queues": {f"q{number}": None for number in range(MOST_QUEUES + 1)}}
    large = await farm.client.post("/jobqueues/plan", json=many)
    assert (large.status_code, "more than 20000 queues" in large.text) == (422, True)


@pytest.mark.parametrize("limit", [{"memory_mb": 140}, {"processor_seconds": 0.2}])
async def test_a_plan_that_takes_too_much_is_refused_and_the_next_one_is_made(
    films: Farm, app: FastAPI, database: str, limit: dict[str, Any]
) -> None:
    wide = {f"q{number}": None for number in range(50)}
    many = {"queues": {f"q{number}": {"queues": wide} for number in range(390)}}
    app.state.workshop = small = Workshop(database, **limit)
    try:
        for route in ("plan", "apply"):
            answer = await films.client.post(f"/jobqueues/{route}", json=many)
            assert (answer.status_code, answer.json()["code"]) == (422, "plan_too_large")
            assert "describe parts of the tree" in answer.json()["detail"]
            process = small._process
            assert (await plan(films, AS_IT_IS))["changes"] == []
            assert small._process is process
    finally:
        await small.close()


async def test_a_plan_tells_which_queues_win_and_lose_agents(films: Farm) -> None:
    for number in range(9):
        await films.agent(f"a{number}")
    await films.set_queue("/tv", paused=False)
    await films.set_queue("/films/hero", minimum_agents=None)
    for queue in ("/films/hero", "/tv"):
        await films.job(queue, tasks=100, queue=queue)
    await films.assign("a0")
    file = {"queues": {"films": {"weight": 30, "queues": {"hero": None}}, "tv": {"weight": 60}}}
    planned = await plan(films, file)
    assert planned["agents"] == 9
    assert [(one["path"], one["assigned_agents"], one["before"], one["after"])
            for one in planned["entitled"]] == [
        ("/films", 1, 6, 3), ("/films/hero", 1, 6, 3), ("/tv", 0, 3, 6),
    ]  # fmt: skip
    for_more = await plan(films, file, agents=90)
    assert [(one["before"], one["after"]) for one in for_more["entitled"]] == [
        (60, 30), (60, 30), (30, 60),
    ]  # fmt: skip


async def test_an_operator_of_one_queue_applies_only_what_is_about_it(films: Farm) -> None:
    bound = await made(films.client, "operator", job_queue_id=films.queues["/films"])
    inside = {"root": "/films", "queues": {"hero": {"weight": 3}}}
    outside = {"queues": {"films": {"weight": 60, "queues": {"hero": {"weight": 4}}}}}
    films.client.headers.update(bearer(bound))
    assert (await apply(films, inside)).status_code == 200
    answer = await apply(films, outside)
    assert (answer.status_code, answer.json()["code"]) == (403, "other_subtree")
    assert told(await plan(films, outside)) == ["change /films/hero"]


async def test_who_may_not_apply_a_file_has_nobody_wait_for_a_plan_of_it(
    films: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit comes in the middle of the first plan; a second would hold up all edits."""
    made_plans = 0
    planning = Turn.orders

    async def planned(self: Turn, *question: Any) -> Any:
        nonlocal made_plans
        made_plans += 1
        found = await planning(self, *question)
        await admin.set_queue("/tv", weight=40 + made_plans)
        return found

    headers = dict(films.client.headers)
    bound = await made(films.client, "operator", job_queue_id=films.queues["/films"])
    async with httpx.AsyncClient(
        transport=films.client._transport, base_url="http://farm", headers=headers
    ) as client:
        admin = Farm(client, films.queues)
        monkeypatch.setattr(Turn, "orders", planned)
        films.client.headers.update(bearer(bound))
        answer = await apply(films, {"queues": {"tv": {"weight": 1}}})
    assert (answer.status_code, made_plans) == (403, 1)


async def test_what_a_change_would_do_is_told_of_one_moment(
    films: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent comes whenever the process beside has answered."""
    asking = Workshop.ask

    async def ask(self: Workshop, *question: Any) -> Any:
        told = await asking(self, *question)
        await films.agent(f"a{len(films.agents)}")
        return told

    monkeypatch.setattr("app.plan.entitlements.FEW", 0)
    await films.job("shot", tasks=9, queue="/films/hero")
    await films.agent("a0")
    monkeypatch.setattr(Workshop, "ask", ask)
    hero = films.queues["/films/hero"]
    before, after = await app.state.entitlements.tried(hero, {"maximum_agents": 0})
    assert (before[0], before[hero], after[0], after[hero]) == (1, 1, 0, 0)
    before, after = await app.state.entitlements.tried(hero, {"weight": 3})
    assert (before, before[0]) == (after, 2)


@pytest.mark.parametrize("few", [0, 300])
async def test_the_tree_shows_what_each_queue_is_entitled_to(
    films: Farm, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Of a large farm it is told by the process beside, of a small one by the service itself."""
    monkeypatch.setattr("app.plan.entitlements.FEW", few)
    for number in range(3):
        await films.agent(f"a{number}")
    await films.job("shot", tasks=2, queue="/films/hero")
    while (tree := await films.get("/jobqueues/tree"))["entitled_agents"] != 2:
        await asyncio.sleep(0.05)
    by_path = {child["fullpath"]: child["entitled_agents"] for child in tree["children"]}
    assert (tree["entitled_agents"], by_path) == (2, {"/films": 2, "/tv": 0})
