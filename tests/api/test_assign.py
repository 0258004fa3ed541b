"""Polls, reports, releases: what an agent gets, and what counts."""

import httpx
import pytest

from app.policy.task_ids import task_id
from tests.farm import Farm


async def test_an_assignment_tells_the_agent_all_it_needs(farm: Farm) -> None:
    await farm.queue("/films")
    data = {"command": ["render", "{frame}"], "z": 1.50, "a": [None, True]}
    job = await farm.job(
        "shot", frames="1-2x0.5", num_tiles=2, batch=3, queue="/films", data=data,
        environ={"OCIO": "/x"}, cpus=4, ram=100,
    )  # fmt: skip
    agent = await farm.agent("a0")
    got = await farm.assign("a0")
    assert got is not None
    assert got["agent_id"] == agent["id"]
    assert got["job"] == {
        "id": job["id"],
        "title": "shot",
        "data": data,
        "environ": {"OCIO": "/x"},
        "cpus": 4,
        "ram": 100,
        "batch": 3,
        "queue": "/films",
    }
    assert list(got["job"]["data"]) == ["command", "z", "a"]
    assert [(t["frame"], t["tile"], t["attempt"]) for t in got["tasks"]] == [
        (1, 0, 1),
        (1, 1, 1),
        (1.5, 0, 1),
    ]
    assert got["heartbeat_seconds"] > 0


async def test_an_agent_that_asks_again_gets_the_same_assignment(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    first = await farm.assign("a0")
    again = await farm.assign("a0")
    assert first is not None
    assert again is not None
    assert first | {"lease_expires_at": 0} == again | {"lease_expires_at": 0}
    assert (await farm.see_job("shot"))["assigned_agents"] == 1


async def test_there_is_nothing_for_an_agent_that_meets_no_requirement(farm: Farm) -> None:
    await farm.job("cuda", required_tags=["gpu"])
    await farm.agent("a0")
    assert await farm.assign("a0") is None


async def test_free_memory_counts_as_last_reported(farm: Farm) -> None:
    await farm.job("big", ram=8000, tasks=2)
    await farm.agent("a0", ram=16000)
    assert await farm.assign("a0", free_ram=7999) is None
    assert await farm.assign("a0") is None
    assert await farm.gets("a0", free_ram=8000) == "big"


async def test_an_unknown_agent_is_told_to_register(client: httpx.AsyncClient) -> None:
    body = {"agent_id": "5f0c9a52-6c1e-4b3e-9d0a-2f4f5a1c7e11"}
    refused = await client.post("/assign", json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "agent_not_found")
    assert "POST /agents" in refused.json()["detail"]


async def test_a_disabled_agent_is_refused_and_a_draining_one_gets_nothing_new(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.set_agent("a0", state="draining")
    assert await farm.gets("a0") == "shot"
    await farm.finish("a0")
    assert await farm.assign("a0") is None
    await farm.set_agent("a0", state="disabled")
    refused = await farm.ask("a0")
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_disabled")
    await farm.set_agent("a0", state="online")
    assert await farm.gets("a0") == "shot"


async def test_results_on_the_way_report_and_ask_in_one_round_trip(farm: Farm) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    first = await farm.assign("a0")
    assert first is not None
    results = [{"task_id": first["tasks"][0]["id"], "state": "done"}]
    second = await farm.assign("a0", results=results, assignment_id=first["id"])
    assert second is not None
    assert second["tasks"][0]["frame"] == 2
    assert (await farm.see_job("shot"))["tasks"] == {
        "waiting": 0, "running": 1, "done": 1, "failed": 0,
    }  # fmt: skip


@pytest.mark.parametrize("state", ["done", "failed"])
async def test_a_poll_with_results_that_is_repeated_counts_once(farm: Farm, state: str) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    first = await farm.assign("a0")
    assert first is not None
    results = [{"task_id": first["tasks"][0]["id"], "state": state}]
    answers = [
        await farm.assign("a0", results=results, assignment_id=first["id"]) for _ in range(3)
    ]
    assert len({answer and answer["id"] for answer in answers}) == 1
    tasks = await farm.see_tasks("shot")
    assert sum(task["failures"] for task in tasks) == (1 if state == "failed" else 0)


async def test_the_same_result_twice_is_counted_once(farm: Farm) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.assign("a0")
    assert [(await farm.report("a0")).status_code for _ in range(3)] == [200, 200, 200]
    assert (await farm.see_job("shot"))["tasks"]["done"] == 1


async def test_a_task_said_twice_in_one_report_counts_once(farm: Farm) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    task = held["tasks"][0]["id"]
    said = [{"task_id": task, "state": s} for s in ("running", "done", "done")]
    await farm.post(f"/assignments/{held['id']}/results", {"results": said})
    job = await farm.see_job("shot")
    assert (job["state"], job["tasks"]["done"]) == ("done", 1)


async def test_a_contradiction_or_a_strange_task_is_refused_and_nothing_of_it_counts(
    farm: Farm,
) -> None:
    job = await farm.job("shot", tasks=3, batch=2)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    url = f"/assignments/{held['id']}/results"
    mine, other = held["tasks"][0]["id"], task_id(job["id"], 2)

    async def says(*said: tuple[int, str]) -> httpx.Response:
        results = [{"task_id": task, "state": state} for task, state in said]
        return await farm.client.post(url, json={"results": results})

    strange = await says((mine, "done"), (other, "done"))
    assert (strange.status_code, strange.json()["code"]) == (409, "task_not_in_assignment")
    assert (await farm.see_job("shot"))["tasks"]["done"] == 0
    assert (await says((mine, "done"))).status_code == 200
    contradiction = await says((mine, "failed"))
    assert (contradiction.status_code, contradiction.json()["code"]) == (409, "result_contradicts")


async def test_an_assignment_ends_when_each_of_its_tasks_has_ended(farm: Farm) -> None:
    await farm.job("shot", tasks=2, batch=2, requeue=0)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    url = f"/assignments/{held['id']}/results"
    first, second = (task["id"] for task in held["tasks"])
    done = await farm.post(url, {"results": [{"task_id": first, "state": "done"}]})
    assert done == {"id": held["id"], "active": True}
    left = await farm.assign("a0")
    assert left is not None
    assert [task["id"] for task in left["tasks"]] == [second]
    failed = {"results": [{"task_id": second, "state": "failed", "error": "boom"}]}
    assert await farm.post(url, failed) == {"id": held["id"], "active": False}
    job = await farm.see_job("shot")
    assert (job["state"], job["assigned_agents"]) == ("failed", 0)
    assert job["time_finished"] is not None


async def test_progress_is_shown_and_does_not_end_the_task(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    await farm.assign("a0")
    assert (await farm.report("a0", "running", progress=0.4)).json()["active"]
    task = (await farm.see_tasks("shot"))[0]
    assert (task["state"], task["progress"]) == ("running", 0.4)


async def test_released_tasks_wait_again_at_once(farm: Farm) -> None:
    await farm.job("shot", tasks=3, batch=3)
    await farm.agent("a0")
    await farm.agent("a1")
    held = await farm.assign("a0")
    assert held is not None
    done = [{"task_id": held["tasks"][0]["id"], "state": "done"}]
    await farm.post(f"/assignments/{held['id']}/results", {"results": done})
    for _ in range(2):
        released = await farm.post(f"/assignments/{held['id']}/release")
        assert released == {"id": held["id"], "active": False}
    assert (await farm.report("a0")).status_code == 409
    taken = await farm.assign("a1")
    assert taken is not None
    assert [(t["frame"], t["attempt"]) for t in taken["tasks"]] == [(2, 2), (3, 2)]


async def test_calls_with_an_assignment_that_never_was_are_told_so(
    client: httpx.AsyncClient,
) -> None:
    body = {"results": [{"task_id": 1, "state": "done"}]}
    for answer in (
        await client.post("/assignments/4711/results", json=body),
        await client.post("/assignments/4711/release"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "assignment_not_found")


async def test_a_failed_task_goes_to_another_agent_first(farm: Farm) -> None:
    await farm.job("shot", tasks=1, requeue=-1)
    await farm.agent("a0")
    await farm.agent("a1")
    await farm.agent("gpu", cpus=0)  # cannot do it, and so does not count
    assert await farm.gets("a0") == "shot"
    await farm.fail("a0")
    assert await farm.gets("a0") is None
    assert await farm.gets("a1") == "shot"
    await farm.fail("a1")
    assert await farm.gets("a0") == "shot"


async def test_a_task_is_failed_once_it_failed_more_than_requeue_times(farm: Farm) -> None:
    await farm.job("shot", tasks=1, requeue=2)
    await farm.agent("a0")
    for attempt in (1, 2, 3):
        held = await farm.assign("a0")
        assert held is not None
        assert held["tasks"][0]["attempt"] == attempt
        await farm.fail("a0", error=f"boom {attempt}")
    assert await farm.assign("a0") is None
    job = await farm.see_job("shot")
    task = (await farm.see_tasks("shot"))[0]
    assert (job["state"], task["state"], task["failures"]) == ("failed", "failed", 3)
    assert task["last_error"] == "boom 3"


async def test_a_job_waits_for_its_parents_and_says_so_when_one_failed(farm: Farm) -> None:
    sim = await farm.job("sim", requeue=0)
    await farm.job("render", parents=[sim["id"]], priority=9)
    await farm.agent("a0")
    assert await farm.gets("a0") == "sim"
    await farm.fail("a0")
    assert await farm.assign("a0") is None
    waiting = await farm.see_job("render")
    assert waiting["state"] == "queued"
    assert "failed" in waiting["reason"]
    await farm.post(f"/jobs/{sim['id']}/rerun-failed")
    assert await farm.gets("a0") == "sim"
    await farm.finish("a0")
    assert await farm.gets("a0") == "render"


async def test_a_batch_stops_at_a_gap_when_it_is_contiguous(farm: Farm) -> None:
    await farm.job("gaps", frames="1-3,5-6", batch=10)
    await farm.job("loose", frames="1-3,5-6", batch=10, batch_contiguous=False, priority=-1)
    for name in ("a0", "a1", "a2"):
        await farm.agent(name)
    frames = []
    for name in ("a0", "a1", "a2"):
        held = await farm.assign(name)
        assert held is not None
        frames.append([task["frame"] for task in held["tasks"]])
    assert frames == [[1, 2, 3], [5, 6], [1, 2, 3, 5, 6]]


async def test_a_stale_assignment_named_in_a_poll_is_refused(farm: Farm) -> None:
    await farm.job("shot", tasks=9)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    await farm.post(f"/assignments/{held['id']}/release")
    results = [{"task_id": held["tasks"][0]["id"], "state": "done"}]
    for named in ({"assignment_id": held["id"]}, {}, {"assignment_id": 4711}):
        refused = await farm.ask("a0", results=results, **named)
        assert (refused.status_code, refused.json()["code"]) == (409, "stale_assignment")
    assert (await farm.see_job("shot"))["tasks"]["done"] == 0
