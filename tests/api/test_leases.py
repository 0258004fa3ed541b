"""Silence, goodbye and take-backs: work waits again exactly once, and the agent learns of it."""

import asyncio
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI

from app.main import create_app
from app.scheduler import leases
from app.scheduler.reaper import reap
from app.settings import Settings
from tests.conftest import execute
from tests.farm import Farm
from tests.tokens import AUTH


@pytest.fixture
def settings() -> Settings:
    """The tests call the reaper themselves."""
    return Settings(reap_seconds=3600)


async def silence(farm: Farm, database: str, hostname: str) -> None:
    """Let the agent's lease run out, as if it had said nothing for so long."""
    past = "clock_timestamp() - interval '1 ms'"
    agent_id = farm.agents[hostname]
    await execute(
        database,
        f"UPDATE agents SET lease_expires_at = {past} WHERE id = '{agent_id}'",  # noqa: S608
    )


async def reaped(app: FastAPI) -> int:
    async with app.state.engine.begin() as connection:
        return await reap(connection, app.state.settings)


async def test_a_silent_agent_is_offline_and_its_tasks_wait_again(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=2, batch=2, requeue=0)
    await farm.agent("a0")
    await farm.agent("alive")
    await farm.assign("a0")
    assert await reaped(app) == 0
    await silence(farm, database, "a0")
    assert [await reaped(app), await reaped(app)] == [1, 0]
    assert (await farm.get(f"/agents/{farm.agents['a0']}"))["state"] == "offline"
    assert (await farm.get(f"/agents/{farm.agents['alive']}"))["state"] == "online"
    job = await farm.see_job("shot")
    assert (job["assigned_agents"], job["tasks"]["waiting"]) == (0, 2)
    task = (await farm.see_tasks("shot"))[0]
    assert (task["attempts"], task["failures"]) == (1, 0)


async def test_a_task_that_silences_agent_after_agent_is_set_aside_with_the_reason(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=2, requeue=0)
    await farm.agent("a0")
    for _ in range(5):
        await farm.assign("a0")
        await silence(farm, database, "a0")
        await reaped(app)
        await farm.heartbeat("a0")
    [task] = (await farm.get(f"/jobs/{farm.jobs['shot']}/tasks?state=failed"))["items"]
    assert (task["frame"], task["lost_leases"], task["failures"]) == (1, 5, 0)
    assert "5 agents went silent" in task["last_error"]
    held = await farm.assign("a0")
    assert held is not None
    assert [task["frame"] for task in held["tasks"]] == [2]
    await farm.report("a0")
    assert (await farm.see_job("shot"))["state"] == "failed"


async def test_a_task_that_was_set_aside_can_be_rerun_as_if_it_were_new(
    farm: Farm, app: FastAPI, database: str
) -> None:
    app.state.settings = Settings(reap_seconds=3600, max_lost_leases=1)
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.assign("a0")
    await silence(farm, database, "a0")
    await reaped(app)
    job = await farm.see_job("shot")
    assert (job["state"], job["time_finished"] is None) == ("failed", False)
    assert await farm.assign("a0") is None
    await farm.post(f"/jobs/{job['id']}/rerun-failed")
    await farm.assign("a0")
    [task] = (await farm.get(f"/jobs/{job['id']}/tasks"))["items"]
    assert (task["state"], task["lost_leases"]) == ("running", 0)


async def test_no_loss_sets_a_task_aside_where_the_limit_is_none(
    farm: Farm, app: FastAPI, database: str
) -> None:
    app.state.settings = Settings(reap_seconds=3600, max_lost_leases=0)
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    for _ in range(7):
        assert await farm.assign("a0") is not None
        await silence(farm, database, "a0")
        await reaped(app)
        await farm.heartbeat("a0")


async def test_work_that_is_taken_from_a_disabled_agent_is_no_lost_lease(farm: Farm) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.patch(f"/agents/{farm.agents['a0']}", {"state": "disabled"})
    [task] = await farm.see_tasks("shot")
    assert (task["state"], task["lost_leases"]) == ("waiting", 0)


async def test_the_service_looks_for_silent_agents_by_itself(database: str) -> None:
    app = create_app(Settings(reap_seconds=0.05, lease_seconds=1), database)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            headers=AUTH, transport=httpx.ASGITransport(app), base_url="http://farm"
        ) as client,
    ):
        farm = Farm(client)
        await farm.agent("a0")
        await silence(farm, database, "a0")
        while (await farm.get(f"/agents/{farm.agents['a0']}"))["state"] != "offline":
            await asyncio.sleep(0.02)


async def test_late_results_of_a_lost_lease_do_not_count(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    await silence(farm, database, "a0")
    await reaped(app)
    late = await farm.report("a0")
    assert (late.status_code, late.json()["code"]) == (409, "stale_assignment")
    assert "lease lost" in late.json()["detail"]
    assert (await farm.heartbeat("a0"))["stop"] == [held["id"]]
    assert await farm.gets("a0") == "shot"
    assert (await farm.heartbeat("a0"))["stop"] == []


@pytest.mark.parametrize("sign", ["heartbeat", "report", "poll"])
async def test_any_sign_of_life_renews_the_lease(
    farm: Farm, app: FastAPI, database: str, sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "AS_GOOD_AS_NEW", 0)  # or it would not be looked at so soon
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.assign("a0")
    await silence(farm, database, "a0")
    if sign == "heartbeat":
        await farm.heartbeat("a0")
    elif sign == "report":
        assert (await farm.report("a0", "running", progress=0.1)).status_code == 200
    else:
        await farm.assign("a0")
    assert await reaped(app) == 0
    assert (await farm.report("a0")).status_code == 200


async def test_an_agent_that_waits_for_work_has_its_wait_and_then_its_lease(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.assign("a0", wait=60))
    while app.state.desk.waiting < 1:
        await asyncio.sleep(0.01)
    agent = await farm.get(f"/agents/{farm.agents['a0']}")
    assert 119 < seconds_between(agent["last_seen"], agent["lease_expires_at"]) < 121
    await farm.job("shot")
    assert await poll is not None
    agent = await farm.get(f"/agents/{farm.agents['a0']}")
    assert seconds_between(agent["last_seen"], agent["lease_expires_at"]) < 119


async def test_a_heartbeat_does_not_shorten_the_lease_of_an_agent_that_waits(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.assign("a0", wait=60))
    while app.state.desk.waiting < 1:
        await asyncio.sleep(0.01)
    before = (await farm.get(f"/agents/{farm.agents['a0']}"))["lease_expires_at"]
    assert (await farm.heartbeat("a0"))["lease_expires_at"] >= before
    poll.cancel()


async def test_a_poll_that_reports_its_last_task_and_waits_has_the_longer_lease(
    farm: Farm, app: FastAPI
) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    results = [{"task_id": held["tasks"][0]["id"], "state": "done"}]
    poll = asyncio.create_task(
        farm.assign("a0", wait=60, results=results, assignment_id=held["id"])
    )
    while app.state.desk.waiting < 1:
        await asyncio.sleep(0.01)
    agent = await farm.get(f"/agents/{farm.agents['a0']}")
    assert seconds_between(agent["last_seen"], agent["lease_expires_at"]) > 119
    poll.cancel()


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@pytest.mark.parametrize("state", ["disabled", "offline"])
async def test_an_agent_taken_out_gives_its_work_back_once_and_learns_of_it(
    farm: Farm, state: str
) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.agent("a1")
    held = await farm.assign("a0")
    assert held is not None
    for _ in range(2):
        await farm.set_agent("a0", state=state)
    assert await farm.gets("a1") == "shot"
    assert (await farm.report("a0")).status_code == 409
    assert (await farm.heartbeat("a0"))["stop"] == [held["id"]]
    told = (await farm.get(f"/history?assignment_id={held['id']}"))["items"]
    assert [row["action"] for row in told] == ["assignment.made", "assignment.ended"]


async def test_a_deleted_agent_gives_its_work_back(farm: Farm) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.agent("a1")
    await farm.assign("a0")
    assert (await farm.client.delete(f"/agents/{farm.agents['a0']}")).status_code == 204
    assert await farm.gets("a1") == "shot"
    assert (await farm.report("a0")).status_code == 409
    assert (await farm.ask("a0")).status_code == 404


@pytest.mark.parametrize("how", ["pause", "delete"])
async def test_a_stopped_or_deleted_job_is_taken_back_from_its_agent(farm: Farm, how: str) -> None:
    await farm.job("shot", tasks=4, batch=2)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    url = f"/jobs/{farm.jobs['shot']}"
    if how == "pause":
        await farm.post(f"{url}/pause", {"stop": True})
        job = await farm.see_job("shot")
        assert (job["state"], job["tasks"]["waiting"]) == ("paused", 4)
    else:
        assert (await farm.client.delete(url)).status_code == 204
    assert (await farm.heartbeat("a0"))["stop"] == [held["id"]]
    assert (await farm.report("a0")).status_code == 409
    assert await farm.assign("a0") is None


async def test_a_paused_job_lets_what_runs_finish(farm: Farm) -> None:
    await farm.job("shot", tasks=4, batch=2)
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.post(f"/jobs/{farm.jobs['shot']}/pause")
    assert (await farm.heartbeat("a0"))["stop"] == []
    await farm.finish("a0")
    assert await farm.assign("a0") is None
    await farm.post(f"/jobs/{farm.jobs['shot']}/resume")
    assert await farm.gets("a0") == "shot"


async def test_a_rerun_leaves_running_tasks_alone(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    await farm.agent("a1")
    await farm.assign("a0")
    await farm.finish("a0")
    held = await farm.assign("a1")
    assert held is not None
    await farm.post(f"/jobs/{farm.jobs['shot']}/rerun")
    assert (await farm.see_job("shot"))["tasks"] == {
        "waiting": 2, "running": 1, "done": 0, "failed": 0,
    }  # fmt: skip
    assert (await farm.report("a1")).status_code == 200
