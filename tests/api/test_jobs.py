"""Jobs that are there: how they show, how they are changed, stopped, done again and deleted."""

import asyncio
import json
from itertools import product
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from app.db.engine import lock_farm
from app.main import create_app
from app.policy.states import JobState, job_state
from app.settings import Settings
from tests.api.hints import hints
from tests.api.statements import place, recorded
from tests.farm import Farm
from tests.tokens import AUTH

# --- reading ---


async def test_lists_are_pages_in_order_of_id(farm: Farm) -> None:
    for title in "abcde":
        await farm.job(title)
    first = await farm.get("/jobs?limit=2")
    assert [job["title"] for job in first["items"]] == ["a", "b"]
    rest = await farm.get(f"/jobs?limit=3&cursor={first['next']}")
    assert [job["title"] for job in rest["items"]] == ["c", "d", "e"]
    assert rest["next"] is None


async def test_jobs_are_found_by_the_queue_they_are_right_in(farm: Farm) -> None:
    films = await farm.queue("/films")
    await farm.queue("/films/hero")
    await farm.job("root")
    await farm.job("film", queue="/films")
    await farm.job("hero", queue="/films/hero", priority=-1)
    for query, titles in {
        "queue=/films": ["film"],
        "queue=/films/hero/": ["hero"],
        "queue=/": ["root"],
        "queue=/nowhere": [],
        f"job_queue_id={films['id']}": ["film"],
        "job_queue_id=null": ["root"],
        "job_queue_id=4711": [],
    }.items():
        assert [job["title"] for job in (await farm.get(f"/jobs?{query}"))["items"]] == titles
    for query in ("job_queue_id=x", "queue=films", "state=sleeping", "limit=0", "cursor=-1"):
        assert (await farm.client.get(f"/jobs?{query}")).status_code == 422


COUNTS = [
    (waiting, done, failed, assigned, paused)
    for waiting, done, failed, assigned, paused in product(
        range(4), range(4), range(4), range(2), (False, True)
    )
    if waiting + done + failed <= 3
]


async def test_jobs_are_found_by_state_as_the_policy_tells_it(farm: Farm, app: FastAPI) -> None:
    async with app.state.engine.begin() as connection:
        for waiting, done, failed, assigned, paused in COUNTS:
            job_id = await connection.scalar(
                text(
                    'INSERT INTO jobs (title, start, "end", "by", frames, tasks_total, paused,'
                    " time_finished) VALUES ('x', 1, 3, 1, '1-3', 3, :paused,"
                    " CASE WHEN :over THEN now() END) RETURNING id"
                ),
                {"paused": paused, "over": done + failed == 3},
            )
            await connection.execute(
                text(
                    "INSERT INTO job_progress (job_id, tasks_total, tasks_done, tasks_failed,"
                    " waiting) VALUES (:id, 3, :done, :failed,"
                    " int4multirange(int4range(0, :waiting)))"
                ),
                {"id": job_id, "waiting": waiting, "done": done, "failed": failed},
            )
            if assigned:
                await connection.execute(
                    text("INSERT INTO assignments (job_id, ordinals) VALUES (:id, '{2}')"),
                    {"id": job_id},
                )
    expected = [
        job_state(
            total=3, waiting=waiting, done=done, failed=failed, assigned=assigned, paused=paused
        )
        for waiting, done, failed, assigned, paused in COUNTS
    ]
    assert set(expected) == set(JobState)
    shown = (await farm.get("/jobs?limit=1000"))["items"]
    assert [job["state"] for job in shown] == expected
    for state in JobState:
        found = (await farm.get(f"/jobs?limit=1000&state={state}"))["items"]
        assert [job["id"] for job in found] == [job["id"] for job in shown if job["state"] == state]


async def test_a_job_shows_its_agents_and_its_tasks_in_each_state(farm: Farm) -> None:
    await farm.job("shot", tasks=7, batch=2, requeue=0)
    for hostname in ("done", "failed", "busy"):
        await farm.agent(hostname)
        await farm.assign(hostname)
    await farm.finish("done")
    await farm.fail("failed")
    job = await farm.see_job("shot")
    assert (job["state"], job["assigned_agents"]) == ("running", 1)
    assert job["tasks"] == {"waiting": 1, "running": 2, "done": 2, "failed": 2}
    assert job["time_started"] is not None
    assert job["time_finished"] is None


async def test_a_queued_job_says_what_it_waits_for(farm: Farm) -> None:
    parents = [(await farm.job(f"parent {n}", requeue=0, priority=1))["id"] for n in range(4)]
    await farm.job("child", parents=parents)
    child = await farm.see_job("child")
    named = ", ".join(map(str, parents[:3]))
    assert child["reason"] == f"waits for jobs {named} and 1 more"
    await farm.agent("a0")
    assert await farm.gets("a0") == "parent 0"
    await farm.finish("a0")
    assert await farm.gets("a0") == "parent 1"
    await farm.fail("a0")
    child = await farm.see_job("child")
    assert child["reason"] == f"waits for job {parents[1]}, which failed"
    assert [(parent["title"], parent["state"]) for parent in child["blocked_by"]] == [
        ("parent 1", "failed"),
        ("parent 2", "queued"),
        ("parent 3", "queued"),
    ]
    await farm.post(f"/jobs/{farm.jobs['child']}/pause")
    assert (await farm.see_job("child"))["reason"] is None


async def test_a_page_takes_as_many_statements_for_many_jobs_as_for_one(
    farm: Farm, app: FastAPI
) -> None:
    parent = (await farm.job("parent"))["id"]
    counts = []
    for more in (1, 100):
        sent = [{"title": "child", "frames": "1", "parents": [parent]}] * more
        await farm.post("/jobs/batch", {"jobs": sent})
        with recorded(app) as statements:
            await farm.get("/jobs?limit=1000")
        counts.append(len(statements))
    assert counts[0] == counts[1]


ROUTES = [
    ("GET", ""),
    ("PATCH", ""),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/rerun"),
    ("POST", "/rerun-failed"),
    ("GET", "/tasks"),
]


async def test_a_job_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    for method, path in ROUTES:
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        gone = await client.request(method, f"/jobs/4711{path}", json=body)
        assert (gone.status_code, gone.json()["code"]) == (404, "job_not_found"), path
        for strange in ("0", "x", str(2**63)):
            refused = await client.request(method, f"/jobs/{strange}{path}", json=body)
            assert refused.status_code == 422


# --- changing ---


async def test_a_patch_changes_what_it_names_and_nothing_else(farm: Farm) -> None:
    await farm.queue("/films")
    parent = (await farm.job("parent"))["id"]
    made = await farm.job("shot", tasks=3, queue="/films", data={"a": 1}, minimum_agents=1)
    url = f"/jobs/{made['id']}"
    changes: list[dict[str, Any]] = [
        {"title": "renamed"},
        {"priority": 5},
        {"weight": 0},
        {"maximum_agents": 4},
        {"minimum_agents": None},
        {"batch": 3},
        {"batch_contiguous": False},
        {"requeue": -1},
        {"cpus": 2},
        {"ram": 64},
        {"required_tags": ["gpu"]},
        {"excluded_tags": ["slow"]},
        {"environ": {"A": "1"}},
        {"data": None},
        {"parents": [parent]},
        {"parents": []},
    ]
    for change in changes:
        made |= change
        if "parents" not in change:
            assert await farm.patch(url, change) == made
        else:
            assert (await farm.patch(url, change))["parents"] == change["parents"]
    assert await farm.patch(url, {}) == made


async def test_a_wrong_change_is_refused_and_changes_nothing(farm: Farm) -> None:
    await farm.job("shot", minimum_agents=2, maximum_agents=5, required_tags=["a"])
    made = await farm.set_job("shot", excluded_tags=["z"])
    wrongs: list[tuple[str, dict[str, Any]]] = [
        ("minimum_agents", {"minimum_agents": 6}),
        ("maximum_agents", {"maximum_agents": 1}),
        ("required_tags", {"required_tags": ["a", "z"]}),
        ("excluded_tags", {"excluded_tags": ["a"]}),
        ("frames", {"frames": "1-2"}),
        ("start", {"start": 1}),
        ("num_tiles", {"num_tiles": 2}),
        ("title", {"title": None}),
        ("batch", {"batch": None}),
        ("weight", {"priority": 1, "weight": -1}),
        ("queue", {"queue": "/nowhere"}),
        ("queue", {"queue": "/", "job_queue_id": 1}),
        ("job_queue_id", {"job_queue_id": 4711}),
        ("parents", {"parents": [4711]}),
        ("parents", {"parents": [farm.jobs["shot"]]}),
    ]
    for field, wrong in wrongs:
        refused = await farm.client.patch(f"/jobs/{farm.jobs['shot']}", json=wrong)
        assert refused.status_code == 422, wrong
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert await farm.see_job("shot") == made
    assert await farm.set_job("shot", minimum_agents=6, maximum_agents=6)
    assert await farm.set_job("shot", required_tags=["z"], excluded_tags=["a"])


async def test_a_job_is_moved_by_id_or_by_fullpath_and_to_the_root(farm: Farm) -> None:
    films = (await farm.queue("/films"))["id"]
    await farm.queue("/tv")
    await farm.job("shot")
    moves: list[tuple[dict[str, Any], str | None]] = [
        ({"queue": "/tv"}, "/tv"),
        ({"job_queue_id": films}, "/films"),
        ({"priority": 3}, "/films"),
        ({"queue": "/"}, None),
        ({"queue": "/tv"}, "/tv"),
        ({"queue": None}, None),
        ({"queue": "/tv"}, "/tv"),
        ({"job_queue_id": None}, None),
    ]
    for move, fullpath in moves:
        assert (await farm.set_job("shot", **move))["queue"] == fullpath


async def test_parents_that_would_close_a_circle_are_refused(farm: Farm) -> None:
    await farm.job("a")
    await farm.job("b", parents=[farm.jobs["a"]])
    await farm.job("c", parents=[farm.jobs["b"]])
    for parent in "abc":
        refused = await farm.client.patch(
            f"/jobs/{farm.jobs['a']}", json={"parents": [farm.jobs[parent]]}
        )
        assert (refused.status_code, refused.json()["code"]) == (422, "job_cycle")
    await farm.set_job("c", parents=[farm.jobs["a"], farm.jobs["b"]])


async def test_two_changes_that_would_close_a_circle_together_do_not(farm: Farm) -> None:
    a, b = (await farm.job("a"))["id"], (await farm.job("b"))["id"]
    answers = await asyncio.gather(
        farm.client.patch(f"/jobs/{a}", json={"parents": [b]}),
        farm.client.patch(f"/jobs/{b}", json={"parents": [a]}),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 422]


async def test_the_history_tells_what_was_changed_from_and_to(farm: Farm) -> None:
    parent = (await farm.job("parent"))["id"]
    await farm.job("shot", weight=3)
    await farm.set_job("shot", weight=5, priority=0, parents=[parent])
    await farm.set_job("shot", weight=5)
    told = (await farm.get(f"/history?job_id={farm.jobs['shot']}"))["items"]
    assert [row["action"] for row in told] == ["job.submitted", "job.changed"]
    assert told[1]["detail"] == {
        "from": {"weight": 3, "parents": []},
        "to": {"weight": 5, "parents": [parent]},
    }


async def test_data_that_differs_only_in_kind_or_order_is_changed_too(farm: Farm) -> None:
    await farm.job("shot", data=1, environ={"a": "1", "b": "2"})
    for data in (True, 1.0, {"a": 1, "b": 2}, {"b": 2, "a": 1}):
        changed = await farm.set_job("shot", data=data)
        assert json.dumps(changed["data"]) == json.dumps(data)
    changed = await farm.set_job("shot", environ={"b": "2", "a": "1"})
    assert list(changed["environ"]) == ["b", "a"]


async def test_a_new_requeue_counts_from_the_next_failure_on(farm: Farm) -> None:
    await farm.agent("a0")
    await farm.job("ends", requeue=0)
    await farm.assign("a0")
    await farm.fail("a0")
    assert (await farm.set_job("ends", requeue=5))["state"] == "failed"
    await farm.job("goes on", requeue=5)
    await farm.assign("a0")
    await farm.fail("a0")
    assert (await farm.set_job("goes on", requeue=0))["tasks"]["waiting"] == 1
    await farm.assign("a0")
    await farm.fail("a0")
    assert (await farm.see_job("goes on"))["state"] == "failed"


# --- pausing and doing again ---


async def test_a_paused_job_gives_out_nothing_until_it_is_resumed(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    url = f"/jobs/{farm.jobs['shot']}"
    for _ in range(2):
        assert (await farm.post(f"{url}/pause"))["state"] == "paused"
    assert await farm.gets("a0") is None
    for _ in range(2):
        resumed = await farm.post(f"{url}/resume")
        assert (resumed["state"], resumed["paused"]) == ("queued", False)
    assert await farm.gets("a0") == "shot"
    told = (await farm.get(f"/history?job_id={farm.jobs['shot']}"))["items"]
    assert [row["action"] for row in told[:3]] == ["job.submitted", "job.paused", "job.resumed"]
    assert (await farm.client.post(f"{url}/pause", json={"stop": "yes"})).status_code == 422


async def test_stopping_takes_back_what_a_job_paused_before_still_runs(farm: Farm) -> None:
    await farm.job("shot", tasks=2, batch=2, maximum_agents=1)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    url = f"/jobs/{farm.jobs['shot']}/pause"
    paused = await farm.post(url, {"stop": False})
    assert (paused["state"], paused["paused"]) == ("running", True)
    for _ in range(2):
        stopped = await farm.post(url, {"stop": True})
        assert (stopped["state"], stopped["tasks"]["waiting"]) == ("paused", 2)
    ended = (await farm.get(f"/history?assignment_id={held['id']}"))["items"][1:]
    assert [row["detail"]["because"] for row in ended] == ["job_stopped"]


async def finished(farm: Farm, title: str, **fields: Any) -> None:
    """A job of four tasks: two done, two failed once too often."""
    await farm.job(title, tasks=4, batch=2, requeue=0, **fields)
    await farm.agent("good")
    await farm.agent("bad")
    await farm.assign("good")
    await farm.assign("bad")
    await farm.finish("good")
    await farm.fail("bad")
    job = await farm.see_job(title)
    assert (job["state"], job["time_finished"] is None) == ("failed", False)


async def test_a_rerun_is_a_fresh_start(farm: Farm) -> None:
    await finished(farm, "shot")
    again = await farm.post(f"/jobs/{farm.jobs['shot']}/rerun")
    assert again["tasks"] == {"waiting": 4, "running": 0, "done": 0, "failed": 0}
    assert (again["state"], again["time_started"], again["time_finished"]) == ("queued", None, None)
    for task in await farm.see_tasks("shot"):
        assert (task["state"], task["attempts"], task["failures"]) == ("waiting", 0, 0)
        assert (task["last_error"], task["agent_id"]) == (None, None)
    assert await farm.gets("bad") == "shot"


async def test_a_rerun_leaves_what_runs_alone_and_forgets_what_waits_again(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    await farm.agent("a1")
    await farm.assign("a1")
    await farm.assign("a0")
    await farm.fail("a0")
    began = (await farm.see_job("shot"))["time_started"]
    again = await farm.post(f"/jobs/{farm.jobs['shot']}/rerun")
    assert again["tasks"] == {"waiting": 2, "running": 1, "done": 0, "failed": 0}
    assert (again["state"], again["time_started"]) == ("running", began)
    tasks = await farm.see_tasks("shot")
    assert [(task["state"], task["attempts"], task["failures"]) for task in tasks] == [
        ("running", 1, 0),
        ("waiting", 0, 0),
        ("waiting", 0, 0),
    ]
    await farm.finish("a1")
    assert (await farm.see_job("shot"))["tasks"]["done"] == 1


async def test_rerunning_the_failed_tasks_leaves_the_others(farm: Farm) -> None:
    await finished(farm, "shot")
    url = f"/jobs/{farm.jobs['shot']}/rerun-failed"
    again = await farm.post(url)
    assert again["tasks"] == {"waiting": 2, "running": 0, "done": 2, "failed": 0}
    assert (again["state"], again["time_finished"]) == ("queued", None)
    assert await farm.post(url) == again
    failed = (await farm.see_tasks("shot"))[2]
    assert (failed["state"], failed["attempts"], failed["failures"]) == ("waiting", 1, 0)
    assert (failed["last_error"], failed["time_finished"]) == ("exit code 1", None)
    await farm.agent("fresh")
    assert await farm.gets("bad") == "shot"
    await farm.finish("bad")
    assert (await farm.see_job("shot"))["state"] == "done"
    told = (await farm.get(f"/history?job_id={farm.jobs['shot']}"))["items"]
    assert [row["action"] for row in told].count("job.rerun_failed") == 1
    done = await farm.see_job("shot")
    assert await farm.post(url) == done


async def test_dependents_wait_again_for_a_job_that_is_rerun(farm: Farm) -> None:
    await farm.job("parent")
    await farm.job("child", parents=[farm.jobs["parent"]])
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    assert (await farm.see_job("child"))["reason"] is None
    await farm.post(f"/jobs/{farm.jobs['parent']}/rerun")
    assert (await farm.see_job("child"))["reason"] == f"waits for job {farm.jobs['parent']}"
    assert await farm.gets("a0") == "parent"


# --- deleting ---


async def test_a_job_is_deleted_once_and_its_work_taken_back_once(farm: Farm) -> None:
    await farm.job("shot", tasks=4, batch=2)
    await farm.agent("a0")
    await farm.agent("a1")
    await farm.assign("a0")
    await farm.finish("a0")
    held = await farm.assign("a1")
    assert held is not None
    url = f"/jobs/{farm.jobs['shot']}"
    answers = await asyncio.gather(*(farm.client.delete(url) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [204, 204, 204]
    assert (await farm.client.get(url)).status_code == 404
    assert (await farm.client.get(f"{url}/tasks")).status_code == 404
    told = (await farm.get(f"/history?job_id={farm.jobs['shot']}"))["items"]
    ended = [row["detail"]["because"] for row in told if row["action"] == "assignment.ended"]
    assert ended == ["job_deleted"]
    assert [row["action"] for row in told].count("job.deleted") == 1
    assert (await farm.heartbeat("a1"))["stop"] == [held["id"]]


async def test_a_job_that_others_wait_for_is_kept_with_all_its_tasks(farm: Farm) -> None:
    await farm.job("parent", tasks=2)
    children = [f"child {n}" for n in range(5)]
    for title in children:
        await farm.job(title, parents=[farm.jobs["parent"]])
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    refused = await farm.client.delete(f"/jobs/{farm.jobs['parent']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_has_dependents")
    assert all(title in refused.json()["detail"] for title in children[:3])
    assert "…" in refused.json()["detail"]
    assert [task["state"] for task in await farm.see_tasks("parent")] == ["done", "waiting"]
    for title in children:
        await farm.client.delete(f"/jobs/{farm.jobs[title]}")
    assert (await farm.client.delete(f"/jobs/{farm.jobs['parent']}")).status_code == 204


async def test_a_done_job_is_deleted_and_frees_what_waited_for_it(farm: Farm) -> None:
    await farm.job("parent")
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    await farm.job("child", parents=[farm.jobs["parent"]])
    assert (await farm.client.delete(f"/jobs/{farm.jobs['parent']}")).status_code == 204
    assert (await farm.see_job("child"))["parents"] == []
    assert await farm.gets("a0") == "child"


async def test_a_submission_and_a_deletion_of_its_parent_do_not_miss_each_other(
    farm: Farm,
) -> None:
    for _ in range(5):
        parent = (await farm.job("parent"))["id"]
        child = {"title": "child", "frames": "1", "parents": [parent]}
        submitted, deleted = await asyncio.gather(
            farm.client.post("/jobs", json=child), farm.client.delete(f"/jobs/{parent}")
        )
        assert (submitted.status_code, deleted.status_code) in {(201, 409), (422, 204)}


async def test_many_ended_tasks_are_cleared_away_before_the_farm_lock(
    farm: Farm, app: FastAPI
) -> None:
    for method, path, words in [
        ("POST", "/rerun", ["DELETE FROM tasks"]),
        ("POST", "/rerun-failed", ["UPDATE tasks"]),
        ("DELETE", "", ["DELETE FROM tasks"]),
    ]:
        await farm.job("shot")
        with recorded(app) as statements:
            await farm.client.request(method, f"/jobs/{farm.jobs['shot']}{path}")
        locked = place(statements, "alembic_version")
        assert all(place(statements, word) < locked for word in words)
        # One such clearing at a time: two that met at the farm lock would wait for each other.
        assert statements[0] == "SELECT pg_advisory_xact_lock($1)"


# --- what every edit has in common ---

EDITS: list[tuple[str, str, Any]] = [
    ("PATCH", "", {"priority": 1}),
    ("POST", "/pause", None),
    ("POST", "/resume", None),
    ("POST", "/rerun", None),
    ("POST", "/rerun-failed", None),
    ("DELETE", "", None),
]


async def test_every_edit_waits_for_the_decision_under_way(database: str) -> None:
    app = create_app(Settings(lock_timeout_seconds=0.2), database)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(headers=AUTH, transport=transport, base_url="http://farm") as client,
    ):
        farm = Farm(client)
        made = await farm.job("shot")
        async with app.state.engine.begin() as deciding:
            await lock_farm(deciding)
            for method, path, body in EDITS:
                url = f"/jobs/{made['id']}{path}"
                answer = await client.request(method, url, json=body)
                assert answer.status_code == 503, (method, path)
        assert await farm.see_job("shot") == made


async def test_whatever_changes_what_may_run_is_hinted_at_once(farm: Farm, database: str) -> None:
    await finished(farm, "failed")
    async with hints(database) as heard:
        await farm.job("shot")
        assert await heard() == 1
        await farm.post("/jobs/batch", {"jobs": [{"title": "x", "frames": "1"}] * 3})
        assert await heard() == 1
        edits: list[tuple[str, str, str, Any]] = [
            ("shot", *EDITS[0]),
            ("shot", "POST", "/pause", None),
            ("shot", "POST", "/resume", None),
            ("failed", "POST", "/rerun-failed", None),
            ("failed", "POST", "/rerun", None),
            ("failed", "DELETE", "", None),
        ]
        for title, method, path, body in edits:
            url = f"/jobs/{farm.jobs[title]}{path}"
            assert (await farm.client.request(method, url, json=body)).is_success
            assert await heard() == 1, (method, path)
