"""Jobs come in: what they have, what is refused, all or none of a batch."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.db.engine import lock_farm
from app.policy.frames import Frames, parse
from app.problems import LONGEST_PART
from tests.api.statements import recorded
from tests.farm import Farm

JSON = {"content-type": "application/json"}


async def test_a_job_has_the_documented_fields_and_defaults(farm: Farm) -> None:
    made = await farm.post("/jobs", {"title": "shot 010", "start": 1, "end": 240})
    assert made == {
        "id": made["id"],
        "title": "shot 010",
        "state": "queued",
        "reason": None,
        "paused": False,
        "job_queue_id": None,
        "queue": None,
        "priority": 0,
        "weight": 10,
        "minimum_agents": None,
        "maximum_agents": None,
        "start": 1,
        "end": 240,
        "by": 1,
        "frames": "1-240",
        "num_tiles": 1,
        "batch": 1,
        "batch_contiguous": True,
        "requeue": 3,
        "cpus": 1,
        "ram": 32,
        "required_tags": [],
        "excluded_tags": [],
        "parents": [],
        "blocked_by": [],
        "environ": {},
        "data": None,
        "assigned_agents": 0,
        "tasks": {"waiting": 240, "running": 0, "done": 0, "failed": 0},
        "submitted_by": None,
        "submitter": None,
        "position": None,
        "estimate": None,
        "time_submitted": made["time_submitted"],
        "time_started": None,
        "time_finished": None,
    }
    assert made["time_submitted"].endswith("Z")
    assert await farm.get(f"/jobs/{made['id']}") == made


async def test_every_field_that_is_sent_is_kept(farm: Farm) -> None:
    await farm.queue("/films")
    parent = await farm.job("parent")
    sent = {
        "title": "shot",
        "job_queue_id": farm.queues["/films"],
        "priority": -7,
        "weight": 0,
        "minimum_agents": 1,
        "maximum_agents": 2,
        "start": 1.5,
        "end": 3,
        "by": 0.5,
        "num_tiles": 2,
        "batch": 10_000,
        "batch_contiguous": False,
        "requeue": -1,
        "cpus": 0,
        "ram": 2**31 - 1,
        "required_tags": ["gpu"],
        "excluded_tags": ["slow"],
        "parents": [parent["id"]],
        "environ": {"SHOT": "010", "EMPTY": ""},
        "data": {"command": ["true"]},
        "paused": True,
    }
    made = await farm.post("/jobs", sent)
    assert {name: made[name] for name in sent} == sent
    assert (made["queue"], made["state"]) == ("/films", "paused")


FRAMES: list[tuple[dict[str, Any], tuple[str, float, float, float, int]]] = [
    ({"start": 1, "end": 10, "by": 2}, ("1-9x2", 1, 10, 2, 5)),
    ({"start": 1, "end": 2, "by": 0.25}, ("1-2x0.25", 1, 2, 0.25, 5)),
    ({"start": -3, "end": -3}, ("-3", -3, -3, 1, 1)),
    ({"start": 0.1, "end": 0.3, "by": 0.1}, ("0.1-0.3x0.1", 0.1, 0.3, 0.1, 3)),
    ({"frames": "1-10x2,20"}, ("1-9x2,20", 1, 20, 2, 6)),
    ({"frames": "3,1-2"}, ("1-3", 1, 3, 1, 3)),
    ({"frames": "7", "num_tiles": 4}, ("7", 7, 7, 1, 4)),
]


async def test_frames_are_given_by_steps_or_as_ranges_and_tiles_multiply(farm: Farm) -> None:
    for sent, expected in FRAMES:
        made = await farm.post("/jobs", {"title": "shot", **sent})
        shown = (made["frames"], made["start"], made["end"], made["by"], made["tasks"]["waiting"])
        assert shown == expected
        assert [type(number) for number in shown] == [type(number) for number in expected]


BAD: dict[str, list[dict[str, Any]]] = {
    "title": [{"title": ""}, {"title": "a" * 256}, {"title": "a\0b"}, {"title": None}],
    "nonsense": [{"nonsense": 1}],
    "minimum_agents": [{"minimum_agents": -1}, {"minimum_agents": 2**64}],
    "maximum_agents": [{"maximum_agents": -1}, {"minimum_agents": 3, "maximum_agents": 2}],
    "priority": [{"priority": 1001}, {"priority": "5"}],
    "weight": [{"weight": -1}, {"weight": 1_000_001}],
    "start": [{"start": "1"}, {"start": True}, {"start": 2e9}, {"start": 2**70}, {"start": None}],
    "end": [
        {"end": 0},
        {"end": 1_000_001},
        {"end": 0.0000001},
        {"end": 1, "by": 0.000001, "start": -10},
        {"end": None},
    ],
    "by": [{"by": 0}, {"by": -1}, {"by": None}, {"by": 1e-7}],
    "frames": [{"frames": "1-3"}],
    "num_tiles": [{"num_tiles": 0}, {"num_tiles": 1_000_001}, {"num_tiles": 500_001}],
    "batch": [{"batch": 0}, {"batch": 10_001}, {"batch": 1.0}],
    "batch_contiguous": [{"batch_contiguous": "yes"}],
    "requeue": [{"requeue": -2}, {"requeue": 2**31}],
    "cpus": [{"cpus": -1}, {"cpus": 2**31}],
    "ram": [{"ram": -1}, {"ram": 0.5}],
    "required_tags": [{"required_tags": "gpu"}, {"required_tags": ["t"] * 101}],
    "required_tags.0": [{"required_tags": [""]}, {"required_tags": ["a\0"]}],
    "excluded_tags": [{"required_tags": ["a", "b"], "excluded_tags": ["b"]}],
    "parents": [{"parents": [4711]}, {"parents": 1}, {"parents": list(range(1, 1_002))}],
    "parents.0": [{"parents": ["1"]}, {"parents": [0]}, {"parents": [2**63]}],
    "environ": [{"environ": []}, {"environ": {str(name): "" for name in range(1_001)}}],
    "environ.A": [
        {"environ": {"A": 1}},
        {"environ": {"A": "\0"}},
        {"environ": {"A": "x" * 32_768}},
    ],
    f"environ.{'A' * LONGEST_PART}": [{"environ": {"A" * 256: ""}}],
    "environ.A=B": [{"environ": {"A=B": ""}}],
    "environ.": [{"environ": {"": ""}}],
    "data": [{"data": {"deep": "a\0b"}}, {"data": [2**63]}, {"data": {"a\0": 1}}],
    "queue": [{"queue": "/nowhere"}, {"queue": "relative"}, {"queue": "/", "job_queue_id": 1}],
    "job_queue_id": [{"job_queue_id": 4711}, {"job_queue_id": 2**63}, {"job_queue_id": "1"}],
}


# The whole body, and the field that its refusal names.
BAD_FRAMES: list[tuple[dict[str, Any], str]] = [
    *(
        ({"frames": frames}, "frames")
        for frames in ("", "x", "5-1", "1-10x0", "1,,2", "1-1000001", "1-" + "9" * 50)
    ),
    ({}, "start"),
    ({"start": 1}, "end"),
    ({"end": 1}, "start"),
    ({"by": 2}, "start"),
    ({"frames": "1", "by": 1}, "frames"),
    ({"frames": "1", "end": 2}, "frames"),
]


async def test_a_wrong_field_is_named_and_nothing_is_stored(client: httpx.AsyncClient) -> None:
    right = {"title": "shot", "start": 1, "end": 2}
    cases = [(right | wrong, field) for field, wrongs in BAD.items() for wrong in wrongs]
    cases += [({"title": "shot"} | frames, field) for frames, field in BAD_FRAMES]
    for body, field in cases:
        await is_refused(client, "/jobs", json.dumps(body), field)
    assert (await client.get("/jobs")).json() == {"items": [], "next": None}
    assert (await client.get("/history")).json()["items"] == []


async def test_a_number_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        for field in ("start", "data"):
            body = f'{{"title": "shot", "end": 2, "{field}": {number}}}'
            await is_refused(client, "/jobs", body, field)


async def is_refused(client: httpx.AsyncClient, url: str, body: str, field: str) -> None:
    refused = await client.post(url, content=body, headers=JSON)
    assert refused.status_code == 422, (body[:200], refused.text)
    assert refused.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in refused.json()["errors"]] == [field], body[:200]


async def test_a_job_may_have_a_million_tasks_and_not_one_more(farm: Farm) -> None:
    for frames in ({"tasks": 1_000_000}, {"tasks": 1_000, "num_tiles": 1_000}):
        assert (await farm.job("large", **frames))["tasks"]["waiting"] == 1_000_000
    over = {"title": "larger", "start": 1, "end": 1_001, "num_tiles": 1_000}
    assert (await farm.client.post("/jobs", json=over)).status_code == 422


async def test_a_queue_is_named_by_id_or_by_fullpath_and_none_is_the_root(farm: Farm) -> None:
    films = await farm.queue("/films")
    named: list[dict[str, Any]] = [
        {"job_queue_id": films["id"]},
        {"queue": "/films"},
        {"queue": "/films/"},
    ]
    for place in named:
        made = await farm.job("in films", **place)
        assert (made["job_queue_id"], made["queue"]) == (films["id"], "/films")
    for place in ({"queue": "/"}, {"queue": None}, {"job_queue_id": None}):
        made = await farm.job("at the root", **place)
        assert (made["job_queue_id"], made["queue"]) == (None, None)


async def test_parents_that_are_not_there_are_named(farm: Farm) -> None:
    there = (await farm.job("parent"))["id"]
    refused = await farm.client.post(
        "/jobs", json={"title": "child", "frames": "1", "parents": [there, 4711, 4712]}
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "no_such_job")
    assert "4711, 4712" in refused.json()["detail"]
    assert str(there) not in refused.json()["detail"].replace("4711", "").replace("4712", "")


async def test_parents_and_tags_are_sets(farm: Farm) -> None:
    first, second = [(await farm.job(title))["id"] for title in ("first", "second")]
    made = await farm.job("child", parents=[second, first, second], required_tags=["b", "a", "b"])
    assert made["parents"] == [first, second]
    assert made["required_tags"] == ["a", "b"]
    assert (await farm.set_job("child", parents=[second, second]))["parents"] == [second]


async def test_data_and_environ_reach_the_agent_as_they_were_sent(farm: Farm) -> None:
    data = '{"z": 1, "a": [1.5, true, null, "é"], "m": {"b": 1.0, "a": 1}}'
    environ = '{"Z": "1", "A": ""}'
    body = f'{{"title": "shot", "frames": "1", "data": {data}, "environ": {environ}}}'
    made = await farm.client.post("/jobs", content=body, headers=JSON)
    assert made.status_code == 201
    await farm.agent("a0")
    assigned = await farm.assign("a0")
    assert assigned is not None
    for job in (made.json(), assigned["job"]):
        assert json.dumps(job["data"]) == json.dumps(json.loads(data))
        assert json.dumps(job["environ"]) == environ


async def test_a_job_may_be_submitted_paused(farm: Farm) -> None:
    assert (await farm.job("later", paused=True))["state"] == "paused"
    await farm.agent("a0")
    assert await farm.assign("a0") is None


async def test_frames_are_sorted_out_beside_the_loop_that_answers_agents(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def seen(text: str) -> Frames:
        threads.append(threading.current_thread())
        return parse(text)

    monkeypatch.setattr("app.jobs.submission.parse", seen)
    await farm.job("shot", frames="1-9x2,2-10x2")
    assert threads
    assert threading.current_thread() not in threads


async def test_submitting_waits_for_no_decision(farm: Farm, app: FastAPI) -> None:
    async with app.state.engine.begin() as deciding:
        await lock_farm(deciding)
        await farm.job("one")
        await farm.post("/jobs/batch", {"jobs": [{"title": "two", "frames": "1"}]})


async def test_the_history_tells_who_submitted_what(farm: Farm) -> None:
    made = await farm.job("shot", tasks=5, maximum_agents=2)
    [told] = (await farm.get(f"/history?job_id={made['id']}"))["items"]
    assert (told["actor"], told["action"]) == ("admin", "job.submitted")
    assert told["detail"] == {
        "title": "shot",
        "job_queue_id": None,
        "frames": "1-5",
        "tasks_total": 5,
        "requeue": 3,
        "minimum_agents": None,
        "maximum_agents": 2,
    }


# --- batches ---


def titled(*titles: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"title": title, "frames": "1"} | fields for title in titles]


async def test_a_batch_comes_back_in_the_order_given(farm: Farm) -> None:
    titles = [f"shot {number}" for number in range(50)]
    await farm.queue("/films")
    made = (await farm.post("/jobs/batch", {"jobs": titled(*titles, queue="/films")}))["items"]
    assert [job["title"] for job in made] == titles
    assert [job["id"] for job in made] == sorted(job["id"] for job in made)
    assert {job["queue"] for job in made} == {"/films"}


async def test_a_job_of_a_batch_may_wait_for_earlier_ones_of_it_and_for_others(farm: Farm) -> None:
    other = (await farm.job("other"))["id"]
    sent = titled("a", "b", "c")
    sent[2] |= {"after": [0, 1, 0], "parents": [other]}
    a, b, c = (await farm.post("/jobs/batch", {"jobs": sent}))["items"]
    assert c["parents"] == [other, a["id"], b["id"]]
    assert [parent["title"] for parent in c["blocked_by"]] == ["other", "a", "b"]
    assert (a["parents"], b["parents"]) == ([], [])


BAD_THIRD: dict[str, dict[str, Any]] = {
    "jobs.2.title": {"title": ""},
    "jobs.2.frames": {"frames": "5-1"},
    "jobs.2.num_tiles": {"num_tiles": 2_000_000},
    "jobs.2.queue": {"queue": "/nowhere"},
    "jobs.2.job_queue_id": {"job_queue_id": 4711},
    "jobs.2.parents": {"parents": [4711]},
    "jobs.2.after": {"after": [2]},
    "jobs.2.after.0": {"after": [-1]},
    "jobs.2.nonsense": {"nonsense": 1},
}


async def test_one_wrong_job_is_named_by_its_place_and_none_is_stored(
    client: httpx.AsyncClient,
) -> None:
    for field, wrong in BAD_THIRD.items():
        sent = titled("a", "b", "c", "d")
        sent[2] |= wrong
        await is_refused(client, "/jobs/batch", json.dumps({"jobs": sent}), field)
    assert (await client.get("/jobs")).json()["items"] == []


async def test_a_batch_has_one_to_a_thousand_jobs(client: httpx.AsyncClient) -> None:
    for count in (0, 1_001):
        body = json.dumps({"jobs": titled(*["shot"] * count)})
        await is_refused(client, "/jobs/batch", body, "jobs")


async def test_a_batch_takes_as_many_statements_for_a_thousand_jobs_as_for_two(
    farm: Farm, app: FastAPI
) -> None:
    await farm.queue("/films")
    await farm.agent("a0")
    await farm.assign("a0")  # the farm is read by then
    counts = []
    for count in (2, 1_000):
        sent = titled(*["shot"] * count, queue="/films")
        for place in range(1, count):
            sent[place]["after"] = [place - 1]
        with recorded(app) as statements:
            await farm.post("/jobs/batch", {"jobs": sent})
        counts.append(len(statements))
    assert counts[0] == counts[1]


# --- what is deleted meanwhile ---


@asynccontextmanager
async def being_deleted(database: str, table: str, row: int) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's deletion of the row, begun and not yet committed; commits at the end."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute(f"DELETE FROM {table} WHERE id = $1", row)  # noqa: S608
            yield connection
    finally:
        await connection.close()


async def somebody_waits(connection: asyncpg.Connection) -> None:
    """Until a session of this database waits for a row that another has locked."""
    while not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock')"
    ):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("field", "code"), [("job_queue_id", "no_such_jobqueue"), ("parents", "no_such_job")]
)
async def test_a_queue_or_parent_deleted_at_the_same_instant_is_a_422(
    farm: Farm, database: str, field: str, code: str
) -> None:
    table = "jobs" if field == "parents" else "jobqueues"
    made = await (farm.job("parent") if field == "parents" else farm.queue("/films"))
    place = {field: [made["id"]] if field == "parents" else made["id"]}
    async with being_deleted(database, table, made["id"]) as other:
        submitting = asyncio.create_task(
            farm.client.post("/jobs", json={"title": "late", "frames": "1", **place})
        )
        await somebody_waits(other)
    refused = await submitting
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert [error["field"] for error in refused.json()["errors"]] == [field]
