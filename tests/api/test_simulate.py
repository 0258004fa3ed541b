"""POST /simulate on the live farm: it sees what is there, and changes nothing."""

from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from app.simulation.answers import Simulation
from tests.farm import Farm

Json = dict[str, Any]


async def simulated(farm: Farm, **asked: Any) -> Simulation:
    return Simulation.model_validate(await farm.post("/simulate", {"hours": 1} | asked))


def by_queue(found: Simulation) -> dict[str, int]:
    return {one.queue: one.agents_now for one in found.changed.queues}


@pytest.fixture
async def tree(farm: Farm) -> Farm:
    """Limits, shares, a minimum, kinds of work; eight agents that have not asked yet."""
    await farm.queue("/films", weight=60, maximum_agents=4)
    await farm.queue("/films/hero", minimum_agents=1)
    await farm.queue("/tv", weight=30)
    await farm.job("hero", 20, queue="/films/hero", batch=2)
    await farm.job("wide", 20, queue="/films", ram=8_000)
    await farm.job("news", 3, queue="/tv", required_tags=["fast"])
    await farm.job("late", 3, queue="/tv", parents=[farm.jobs["news"]])
    for number in range(8):
        more = {"tags": ["fast"]} if number % 2 else {"ram": 4_000}
        await farm.agent(f"a{number}", id=str(UUID(int=number + 1)), **more)
    return farm


async def test_its_first_round_is_what_the_service_gives_out(tree: Farm) -> None:
    foretold = by_queue(await simulated(tree))
    for hostname in tree.agents:
        await tree.assign(hostname)
    nodes = (await tree.get("/jobqueues/tree"))["children"]
    films, tv = nodes
    real = {one["fullpath"]: one["assigned_agents"] for one in (films, *films["children"], tv)}
    assert foretold == real
    assert by_queue(await simulated(tree)) == real  # who works goes on


async def test_it_changes_nothing(tree: Farm, database: str) -> None:
    await tree.assign("a1")
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    tables = ("jobqueues", "jobs", "tasks", "agents", "assignments", "history", "farm_changes")

    async def counted() -> list[Any]:
        return [
            await connection.fetchval(
                f"SELECT md5(coalesce(string_agg(CAST(t AS text), '' ORDER BY CAST(t AS text)),"  # noqa: S608
                f" '')) FROM {table} t"
            )
            for table in tables
        ]

    before = await counted()
    changes = {
        "queues": [{"queue": "/films", "delete": True}, {"create": "/new"}],
        "jobs": [{"id": tree.jobs["news"], "priority": 9}],
        "agents": {"add": [{"count": 3}], "remove": [{"count": 4}]},
    }
    work = [{"title": "more", "queue": "/new", "tasks": 5}]
    found = await simulated(tree, changes=changes, workload=work)
    assert found.changed.agents == 7
    assert await counted() == before
    await connection.close()


async def test_task_times_are_those_that_were_measured(tree: Farm, database: str) -> None:
    await tree.assign("a1")
    await tree.finish("a1")
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute(
        "UPDATE assignments SET started_at = ended_at - interval '100 s' * cardinality(ordinals)"
    )
    await connection.close()
    found = await simulated(tree, spread=0, default_task_seconds=7)
    assert found.measured_jobs == 1
    [news] = [one for one in found.changed.jobs if one.title == "news"]
    hero = [one for one in found.changed.jobs if one.title == "hero"]
    assert news.finish_seconds == pytest.approx(7)
    assert [one.finish_seconds for one in hero if one.finish_seconds] != []


async def test_work_for_a_queue_without_jobs_takes_as_long_as_was_measured_there(
    farm: Farm, database: str
) -> None:
    """Wherever the queue hangs then."""
    await farm.queue("/idle")
    await farm.queue("/top")
    await farm.job("over", 4, queue="/idle", batch=4)
    await farm.agent("a1")
    await farm.assign("a1")
    await farm.finish("a1")
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute("UPDATE assignments SET started_at = ended_at - interval '400 s'")
    await connection.close()
    work = {"title": "new", "tasks": 1}
    asked = {"spread": 0, "default_task_seconds": 7}
    found = await simulated(farm, workload=[work | {"queue": "/idle"}], **asked)
    assert [one.finish_seconds for one in found.changed.jobs] == [pytest.approx(100)]
    changes = {"queues": [{"queue": "/idle", "parent": "/top"}]}
    found = await simulated(
        farm, workload=[work | {"queue": "/top/idle"}], changes=changes, **asked
    )
    assert [one.finish_seconds for one in found.changed.jobs] == [pytest.approx(100)]


async def test_what_is_wrong_is_a_422_that_names_each_place(farm: Farm) -> None:
    body = {"changes": {"queues": [{"queue": "/gone"}], "jobs": [{"id": 7}]}, "series": ["/a"]}
    answer = await farm.client.post("/simulate", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert {error["field"] for error in answer.json()["errors"]} == {
        "changes.queues.0.queue",
        "changes.jobs.0.id",
        "series.0",
    }


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"hours": "x"}', b'{"hours": 1e400}'])
async def test_a_body_that_is_none_is_a_422(farm: Farm, body: bytes) -> None:
    kind = {"content-type": "application/json"}
    answer = await farm.client.post("/simulate", content=body, headers=kind)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_an_empty_farm_has_nothing_to_tell(client: httpx.AsyncClient) -> None:
    answer = await client.post("/simulate", json={"farm": {}, "hours": 1})
    assert answer.status_code == 200
    assert answer.json()["changed"]["agents"] == 0
