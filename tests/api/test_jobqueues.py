"""The queue tree: its edits, its refusals, its paths."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.farm import Farm


async def test_a_queue_has_the_documented_fields_and_defaults(farm: Farm) -> None:
    made = await farm.queue("/films")
    assert made == {
        "id": made["id"],
        "name": "films",
        "fullpath": "/films",
        "parent_jobqueue_id": None,
        "priority": 0,
        "weight": 10,
        "minimum_agents": None,
        "maximum_agents": None,
        "prefer_running_jobs": False,
        "paused": False,
        "assigned_agents": 0,
    }


async def test_a_parent_is_named_by_id_or_by_fullpath_but_not_both(farm: Farm) -> None:
    films = await farm.queue("/films")
    by_path = await farm.queue("/films/hero")
    by_id = await farm.post("/jobqueues", {"name": "bg", "parent_jobqueue_id": films["id"]})
    assert by_path["parent_jobqueue_id"] == by_id["parent_jobqueue_id"] == films["id"]
    assert by_id["fullpath"] == "/films/bg"
    both = {"name": "x", "parent": "/films", "parent_jobqueue_id": films["id"]}
    assert (await farm.client.post("/jobqueues", json=both)).status_code == 422


BAD: dict[str, list[dict[str, Any]]] = {
    "minimum_agents": [{"minimum_agents": -1}, {"minimum_agents": 1.5}, {"minimum_agents": 2**64}],
    "maximum_agents": [
        {"maximum_agents": -1},
        {"maximum_agents": "3"},
        {"minimum_agents": 3, "maximum_agents": 2},
    ],
    "priority": [{"priority": 1001}, {"priority": -1001}, {"priority": None}, {"priority": True}],
    "weight": [{"weight": -1}, {"weight": 1_000_001}, {"weight": 2**70}],
    "name": [{"name": ""}, {"name": "a" * 256}, {"name": "a/b"}, {"name": "a\0b"}, {"name": None}],
    "nonsense": [{"nonsense": 1}],
    "parent": [{"parent": "/nowhere"}, {"parent": "relative"}],
    "parent_jobqueue_id": [{"parent_jobqueue_id": 4711}, {"parent_jobqueue_id": 2**63}],
}


@pytest.mark.parametrize(
    ("field", "wrong"), [(field, wrong) for field, cases in BAD.items() for wrong in cases]
)
async def test_a_wrong_field_is_named_and_nothing_is_stored(
    client: httpx.AsyncClient, field: str, wrong: dict[str, Any]
) -> None:
    refused = await client.post("/jobqueues", json={"name": "q"} | wrong)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert (await client.get("/jobqueues")).json() == {"items": [], "next": None}


@pytest.mark.parametrize("body", ['{"name": "q", "weight": NaN}', '{"name": "q\\ud800"}'])
async def test_what_json_cannot_mean_is_refused(client: httpx.AsyncClient, body: str) -> None:
    headers = {"content-type": "application/json"}
    assert (await client.post("/jobqueues", content=body, headers=headers)).status_code == 422


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "must not be empty"),
        ("name", "a/b", "must have no / in it"),
        ("parent", "films", "must be a path that begins with /"),
    ],
)
async def test_a_wrong_name_is_told_in_words(farm: Farm, field: str, value: str, told: str) -> None:
    answer = await farm.client.post("/jobqueues", json={"name": "x", field: value})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": field, "message": told}]


async def test_a_sibling_cannot_have_the_same_name(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.queue("/films/hero")
    await farm.queue("/hero")
    for taken in ({"name": "films"}, {"name": "hero", "parent": "/films"}):
        refused = await farm.client.post("/jobqueues", json=taken)
        assert refused.status_code == 409
        assert refused.json()["code"] == "jobqueue_name_taken"
    renamed = await farm.client.patch(f"/jobqueues/{farm.queues['/hero']}", json={"name": "films"})
    assert renamed.status_code == 409


@pytest.mark.parametrize("parent", [None, "/films"])
async def test_of_two_equal_names_at_the_same_instant_one_wins(
    farm: Farm, parent: str | None
) -> None:
    await farm.queue("/films")
    body = {"name": "hero", "parent": parent}
    answers = await asyncio.gather(*(farm.client.post("/jobqueues", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7


async def test_every_fullpath_below_follows_a_rename_and_a_move(farm: Farm) -> None:
    for path in ("/films", "/films/hero", "/films/hero/light", "/tv"):
        await farm.queue(path)
    await farm.set_queue("/films", name="movies")
    light = farm.queues["/films/hero/light"]
    assert (await farm.get(f"/jobqueues/{light}"))["fullpath"] == "/movies/hero/light"
    await farm.set_queue("/films/hero", parent="/tv")
    assert (await farm.get(f"/jobqueues/{light}"))["fullpath"] == "/tv/hero/light"
    await farm.set_queue("/films/hero", parent_jobqueue_id=None)
    assert (await farm.get(f"/jobqueues/{light}"))["fullpath"] == "/hero/light"
    found = await farm.get("/jobqueues?fullpath=/hero/light")
    assert [queue["id"] for queue in found["items"]] == [light]


async def test_a_queue_cannot_hang_under_itself_or_its_descendant(farm: Farm) -> None:
    for path in ("/a", "/a/b", "/a/b/c"):
        await farm.queue(path)
    for parent in ("/a", "/a/b", "/a/b/c"):
        refused = await farm.client.patch(
            f"/jobqueues/{farm.queues['/a']}", json={"parent": parent}
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "jobqueue_cycle")


async def test_two_moves_that_would_close_a_circle_together_do_not(farm: Farm) -> None:
    await farm.queue("/a")
    await farm.queue("/b")
    a, b = farm.queues["/a"], farm.queues["/b"]
    answers = await asyncio.gather(
        farm.client.patch(f"/jobqueues/{a}", json={"parent_jobqueue_id": b}),
        farm.client.patch(f"/jobqueues/{b}", json={"parent_jobqueue_id": a}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_the_tree_has_at_most_32_levels(farm: Farm) -> None:
    path = ""
    for level in range(1, 33):
        path += f"/{level}"
        await farm.queue(path)
    deeper = await farm.client.post("/jobqueues", json={"name": "33", "parent": path})
    assert (deeper.status_code, deeper.json()["code"]) == (422, "jobqueue_too_deep")
    await farm.queue("/two")
    await farm.queue("/two/levels")
    moved = await farm.client.patch(
        f"/jobqueues/{farm.queues['/two']}", json={"parent": path.rpartition("/")[0]}
    )
    assert moved.status_code == 422


async def test_a_patch_is_held_against_the_stored_other_half(farm: Farm) -> None:
    await farm.queue("/q", minimum_agents=2, maximum_agents=5)
    for wrong in ({"minimum_agents": 6}, {"maximum_agents": 1}):
        refused = await farm.client.patch(f"/jobqueues/{farm.queues['/q']}", json=wrong)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == list(wrong)
    opened = await farm.set_queue("/q", maximum_agents=None, minimum_agents=9)
    assert (opened["minimum_agents"], opened["maximum_agents"]) == (9, None)


async def test_a_patch_leaves_alone_what_it_does_not_name(farm: Farm) -> None:
    made = await farm.queue("/q", priority=7, weight=3, maximum_agents=4, paused=True)
    assert await farm.set_queue("/q", weight=5) == made | {"weight": 5}
    assert await farm.set_queue("/q") == made | {"weight": 5}


async def test_a_queue_in_use_is_not_deleted_and_says_what_holds_it(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.queue("/films/hero")
    await farm.job("shot 010", queue="/films")
    refused = await farm.client.delete(f"/jobqueues/{farm.queues['/films']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "jobqueue_in_use")
    assert "hero" in refused.json()["detail"]
    assert "shot 010" in refused.json()["detail"]


async def test_an_empty_queue_is_deleted_and_one_that_is_gone_too(farm: Farm) -> None:
    await farm.queue("/films")
    url = f"/jobqueues/{farm.queues['/films']}"
    assert [(await farm.client.delete(url)).status_code for _ in range(2)] == [204, 204]
    assert (await farm.client.get(url)).status_code == 404


async def test_one_queue_shows_its_neighbours_with_their_totals(farm: Farm) -> None:
    await farm.queue("/films")
    hero = await farm.queue("/films/hero")
    for number in range(101):
        await farm.queue(f"/films/hero/{number}")
    await farm.job("shot", queue="/films/hero")
    shown = await farm.get(f"/jobqueues/{hero['id']}")
    assert shown["parent"]["fullpath"] == "/films"
    assert [len(shown["children"]), shown["children_total"]] == [100, 101]
    assert [job["title"] for job in shown["jobs"]] == ["shot"]
    assert shown["jobs_total"] == 1


async def test_lists_are_pages_in_order_of_id(farm: Farm) -> None:
    for name in "abcde":
        await farm.queue(f"/{name}")
    await farm.queue("/a/b")
    first = await farm.get("/jobqueues?limit=2&parent_jobqueue_id=null")
    assert [queue["name"] for queue in first["items"]] == ["a", "b"]
    rest = await farm.get(f"/jobqueues?limit=3&parent_jobqueue_id=null&cursor={first['next']}")
    assert [queue["name"] for queue in rest["items"]] == ["c", "d", "e"]
    assert rest["next"] is None
    below = await farm.get(f"/jobqueues?parent_jobqueue_id={farm.queues['/a']}")
    assert [queue["fullpath"] for queue in below["items"]] == ["/a/b"]
    named = await farm.get("/jobqueues?name=b")
    assert [queue["fullpath"] for queue in named["items"]] == ["/b", "/a/b"]
    assert (await farm.client.get("/jobqueues?limit=1001")).status_code == 422


async def test_the_tree_counts_agents_and_tasks_in_or_below_each_node(farm: Farm) -> None:
    await farm.queue("/films", maximum_agents=9)
    await farm.queue("/films/hero")
    await farm.job("shot", tasks=5, batch=2, queue="/films/hero")
    await farm.job("loose", tasks=1, priority=-9)
    await farm.agent("a0")
    assert await farm.gets("a0") == "shot"
    tree = await farm.get("/jobqueues/tree")
    films = tree["children"][0]
    hero = films["children"][0]
    assert (films["maximum_agents"], films["assigned_agents"], hero["assigned_agents"]) == (9, 1, 1)
    assert films["tasks"] == hero["tasks"] == {"waiting": 3, "running": 2}
    assert tree["tasks"] == {"waiting": 4, "running": 2}
    part = await farm.get(f"/jobqueues/tree?root={farm.queues['/films/hero']}")
    assert part == hero
    assert (await farm.client.get("/jobqueues/tree?root=4711")).status_code == 404


async def test_the_history_tells_what_was_changed(farm: Farm) -> None:
    await farm.queue("/q", weight=3)
    await farm.set_queue("/q", weight=5)
    await farm.client.delete(f"/jobqueues/{farm.queues['/q']}")
    told = (await farm.get(f"/history?job_queue_id={farm.queues['/q']}"))["items"]
    assert [row["action"] for row in told] == [
        "jobqueue.created",
        "jobqueue.changed",
        "jobqueue.deleted",
    ]
    assert told[1]["detail"] == {"from": {"weight": 3}, "to": {"weight": 5}}
