"""The history: what happened, in its order, to whom."""

from typing import Any

import asyncpg
import pytest

from tests.conftest import execute
from tests.farm import Farm


async def told(farm: Farm, query: str) -> list[str]:
    return [row["action"] for row in (await farm.get(f"/history?{query}"))["items"]]


async def test_an_event_has_the_documented_fields(farm: Farm) -> None:
    films = (await farm.queue("/films"))["id"]
    [event] = (await farm.get("/history"))["items"]
    assert event.keys() == {
        "id", "at", "actor", "action", "job_queue_id", "job_id", "agent_id", "assignment_id",
        "detail",
    }  # fmt: skip
    assert (event["actor"], event["action"]) == ("admin", "jobqueue.created")
    assert event["job_queue_id"] == films
    assert (event["job_id"], event["agent_id"], event["assignment_id"]) == (None, None, None)
    assert event["at"].endswith("Z")


async def test_it_is_found_by_each_thing_it_happened_to_and_by_several(farm: Farm) -> None:
    films = (await farm.queue("/films"))["id"]
    job = (await farm.job("shot", queue="/films"))["id"]
    await farm.job("other", priority=-1)
    agent = (await farm.agent("a0"))["id"]
    await farm.agent("a1")
    await farm.set_job("shot", priority=9)
    held = await farm.assign("a0")
    assert held is not None
    await farm.assign("a1")
    await farm.finish("a0")
    work = ["assignment.made", "assignment.reported"]
    assert await told(farm, f"job_queue_id={films}") == ["jobqueue.created"]
    assert await told(farm, f"job_id={job}") == ["job.submitted", "job.changed", *work]
    assert await told(farm, f"agent_id={agent}") == ["agent.registered", *work]
    assert await told(farm, f"assignment_id={held['id']}") == work
    assert await told(farm, f"assignment_id={held['id']}&job_id={job}&agent_id={agent}") == work
    assert await told(farm, f"assignment_id={held['id']}&job_queue_id={films}") == []
    assert len(await told(farm, "")) == 9


async def test_it_is_read_in_pages_oldest_first(farm: Farm) -> None:
    await farm.job("other")
    await farm.job("shot")
    for priority in (1, 2, 3):
        await farm.set_job("shot", priority=priority)
    url = f"/history?job_id={farm.jobs['shot']}"
    first = await farm.get(f"{url}&limit=2")
    rest = await farm.get(f"{url}&limit=2&cursor={first['next']}")
    assert rest["next"] is None
    to: list[Any] = [row["detail"].get("to") for row in first["items"] + rest["items"]]
    assert to == [None, {"priority": 1}, {"priority": 2}, {"priority": 3}]


async def test_it_outlives_what_it_tells_of(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    for url in (f"/jobs/{farm.jobs['shot']}", f"/agents/{farm.agents['a0']}"):
        assert (await farm.client.delete(url)).status_code == 204
    assert (await told(farm, f"job_id={farm.jobs['shot']}"))[-1] == "job.deleted"
    assert (await told(farm, f"agent_id={farm.agents['a0']}"))[-1] == "agent.deleted"


async def test_what_was_refused_is_not_in_it(farm: Farm) -> None:
    await farm.job("shot")
    refused = await farm.client.patch(
        f"/jobs/{farm.jobs['shot']}", json={"priority": 5, "parents": [4711]}
    )
    assert refused.status_code == 422
    assert await told(farm, "") == ["job.submitted"]


async def test_it_cannot_be_rewritten(farm: Farm, database: str) -> None:
    await farm.job("shot")
    for statement in ("UPDATE history SET actor = 'nobody'", "DELETE FROM history"):
        with pytest.raises(asyncpg.RestrictViolationError):
            await execute(database, statement)


async def test_a_strange_filter_is_refused(farm: Farm) -> None:
    for query in ("job_id=0", "agent_id=a0", "assignment_id=x", "job_queue_id=-1", "cursor=x"):
        assert (await farm.client.get(f"/history?{query}")).status_code == 422
