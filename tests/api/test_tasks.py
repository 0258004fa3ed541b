"""The tasks of a job: those that agents had, and those that nobody has touched yet."""

from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.jobs import task_store
from app.policy.states import TaskState
from tests.api.statements import recorded
from tests.conftest import execute
from tests.farm import Farm

MILLION = 1_000_000


async def pages(farm: Farm, url: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = await farm.get(f"{url}&cursor={cursor}")
        items += page["items"]
        cursor = page["next"]
    return items


async def test_an_untouched_task_has_the_documented_fields(farm: Farm) -> None:
    job = await farm.job("shot", frames="1-2x0.5", num_tiles=2)
    tasks = await farm.see_tasks("shot")
    assert tasks[3] == {
        "id": tasks[3]["id"],
        "job_id": job["id"],
        "frame": 1.5,
        "tile": 1,
        "state": "waiting",
        "attempts": 0,
        "failures": 0,
        "lost_leases": 0,
        "agent_id": None,
        "last_error": None,
        "progress": 0,
        "time_started": None,
        "time_finished": None,
    }
    assert await farm.get(f"/tasks/{tasks[3]['id']}") == tasks[3]


async def test_tasks_go_by_frame_then_tile(farm: Farm) -> None:
    await farm.job("shot", frames="5,1-2", num_tiles=2)
    tasks = await farm.see_tasks("shot")
    assert [(task["frame"], task["tile"]) for task in tasks] == [
        (1, 0), (1, 1), (2, 0), (2, 1), (5, 0), (5, 1),
    ]  # fmt: skip
    assert [type(task["frame"]) for task in tasks] == [int] * 6
    assert [task["id"] for task in tasks] == sorted(task["id"] for task in tasks)


async def mixed(farm: Farm) -> list[str]:
    """A job with holes in what waits; the state of each of its tasks."""
    await farm.job("shot", tasks=10, batch=2, requeue=0)
    for hostname in ("a0", "a1", "a2", "a3"):
        await farm.agent(hostname)
        await farm.assign(hostname)
    await farm.finish("a0")
    await farm.fail("a1")
    await farm.post(f"/assignments/{farm.held['a2']['id']}/release")
    held = farm.held["a3"]
    first = {"task_id": held["tasks"][0]["id"], "state": "done"}
    await farm.post(f"/assignments/{held['id']}/results", {"results": [first]})
    return [*["done"] * 2, *["failed"] * 2, *["waiting"] * 2, "done", "running", *["waiting"] * 2]


async def test_tasks_are_found_by_state_on_pages_of_any_size(farm: Farm) -> None:
    states = await mixed(farm)
    url = f"/jobs/{farm.jobs['shot']}/tasks"
    every = await farm.see_tasks("shot")
    assert [task["state"] for task in every] == states
    for limit in (1, 2, 3, 100):
        assert await pages(farm, f"{url}?limit={limit}") == every
        for state in ("waiting", "running", "done", "failed"):
            found = await pages(farm, f"{url}?limit={limit}&state={state}")
            assert found == [task for task in every if task["state"] == state]


async def test_a_task_tells_what_became_of_it(farm: Farm) -> None:
    await mixed(farm)
    tasks = await farm.see_tasks("shot")
    done, failed, released, running, untouched = tasks[0], tasks[2], tasks[4], tasks[7], tasks[8]
    agents = [task["agent_id"] for task in (done, failed, released, running, untouched)]
    assert agents == [*(farm.agents[name] for name in ("a0", "a1", "a2", "a3")), None]
    assert [task["attempts"] for task in (done, failed, released, untouched)] == [1, 1, 1, 0]
    assert (failed["failures"], failed["last_error"]) == (1, "exit code 1")
    assert None not in {done["time_started"], done["time_finished"], running["time_started"]}
    assert running["time_finished"] is None
    assert await farm.get(f"/tasks/{failed['id']}") == failed


async def test_a_task_names_the_agent_that_had_it_when_that_is_gone(farm: Farm) -> None:
    await mixed(farm)
    await farm.client.delete(f"/agents/{farm.agents['a0']}")
    assert (await farm.see_tasks("shot"))[0]["agent_id"] == farm.agents["a0"]


async def test_a_cursor_of_another_job_ends_or_begins_the_list(farm: Farm) -> None:
    for title in ("before", "shot", "behind"):
        await farm.job(title, tasks=2)
    url = f"/jobs/{farm.jobs['shot']}/tasks"
    cursors = {title: (await farm.see_tasks(title))[1]["id"] for title in farm.jobs}
    for title, count in {"before": 2, "shot": 0, "behind": 0}.items():
        for query in ("", "&state=waiting"):
            found = await farm.get(f"{url}?cursor={cursors[title]}{query}")
            assert len(found["items"]) == count
    assert (await farm.get(f"{url}?cursor={2**63 - 1}"))["items"] == []


async def test_a_task_that_is_not_there_is_a_404(farm: Farm) -> None:
    await farm.job("shot", tasks=2)
    last = (await farm.see_tasks("shot"))[1]["id"]
    for task_id in (1, last + 1, 2**63 - 1):
        gone = await farm.client.get(f"/tasks/{task_id}")
        assert (gone.status_code, gone.json()["code"]) == (404, "task_not_found")
    assert (await farm.client.get("/tasks/0")).status_code == 422


async def test_a_strange_state_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/jobs/1/tasks?state=sleeping")).status_code == 422


async def test_a_job_of_a_million_tasks_is_listed_at_any_place_at_the_price_of_a_page(
    farm: Farm, app: FastAPI
) -> None:
    job = await farm.job("large", tasks=MILLION)
    first = (await farm.see_tasks("large"))[0]["id"]
    url = f"/jobs/{job['id']}/tasks?limit=2"
    counts = set()
    for state in ("", "&state=waiting"):
        for ordinal in (1, MILLION // 2, MILLION - 1):
            with recorded(app) as statements:
                page = await farm.get(f"{url}{state}&cursor={first + ordinal - 1}")
            counts.add(len(statements))
            assert page["items"][0]["frame"] == ordinal + 1
    assert len(counts) == 1


async def test_no_page_reads_all_rows_of_a_job(farm: Farm, app: FastAPI, database: str) -> None:
    """Of 20,000 touched tasks a page of ten reads some tens, whatever the state."""
    job = await farm.job("large", tasks=20_000)
    states = {"done": (0, 5_000), "failed": (5_000, 10_000), "waiting": (10_000, 20_000)}
    async with app.state.engine.begin() as connection:
        await connection.execute(text("INSERT INTO assignments (ordinals) VALUES ('{}')"))
        for state, (start, end) in states.items():
            await connection.execute(
                text(
                    "INSERT INTO tasks (job_id, ordinal, state, failures, assignment_id)"
                    " SELECT :job, o, :state, (:state = 'failed')::int, s.id"
                    " FROM assignments s, generate_series(:start, :end - 1) o"
                ),
                {"job": job["id"], "state": state, "start": start, "end": end},
            )
        await connection.execute(
            text("UPDATE job_progress SET waiting = '{[10000,20000)}', tasks_done = 5000,"
                 " tasks_failed = 5000")
        )  # fmt: skip
    await execute(database, "ANALYZE")  # which is the owner's to do
    for state in (None, *TaskState):
        async with app.state.engine.connect() as connection:
            found = await task_store.page(connection, job["id"], state, 0, 10)
            assert len(found) == (0 if state == "running" else 10)
            assert await rows_read(connection) <= 100, state


async def rows_read(connection: AsyncConnection) -> int:
    """Rows of tasks that this transaction has read, by scan or by index."""
    found: int = await connection.scalar(
        text(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname = 'tasks'"
        )
    )
    return found
