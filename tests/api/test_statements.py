"""A cycle costs the same number of statements, whatever the size of the tree and the crowd."""

import asyncio

import asyncpg
import pytest
from fastapi import FastAPI

from app.db.driver import FARM_LOCK
from app.scheduler import session, store
from tests.api.statements import recorded, recorded_of_desk
from tests.farm import Farm, Json


async def cycles(farm: Farm, app: FastAPI, hostnames: list[str]) -> list[list[str]]:
    """All ask while a cycle is held up, each reporting a failure; each cycle's statements."""
    held = {name: await farm.assign(name) for name in hostnames}
    connection = await asyncpg.connect(app.state.url.replace("+asyncpg", ""))
    await connection.execute(f"SELECT pg_advisory_lock({FARM_LOCK})")
    with recorded_of_desk(app) as statements:
        polls = [
            asyncio.create_task(farm.ask(name, **failure(assignment)))
            for name, assignment in held.items()
        ]
        await asyncio.sleep(0.5)  # all that do not come in time for this cycle come in the next
        await connection.close()
        assert {(await poll).status_code for poll in polls} == {200}
    found: list[list[str]] = [[]]
    for statement in statements:
        if statement != store._TOLD:  # of jobs that this process never gave out before
            found[-1].append(statement)
        if statement == session._WHOLE:
            found.append([])
    return found[:-1]


def failure(assignment: Json | None) -> Json:
    assert assignment is not None
    results = [{"task_id": assignment["tasks"][0]["id"], "state": "failed"}]
    return {"assignment_id": assignment["id"], "results": results}


async def test_a_cycle_has_as_many_statements_for_many_as_for_one(farm: Farm, app: FastAPI) -> None:
    await farm.agent("alone")
    await farm.job("small", tasks=9, requeue=-1)
    [alone] = await cycles(farm, app, ["alone"])

    for top in range(5):
        await farm.queue(f"/{top}", weight=top)
        for below in range(5):
            await farm.queue(f"/{top}/{below}", minimum_agents=1)
            await farm.job(f"{top}{below}", tasks=9, queue=f"/{top}/{below}", requeue=-1)
    for number in range(20):
        await farm.agent(f"a{number}")
    many = await cycles(farm, app, [f"a{number}" for number in range(20)])
    assert len(many) < 20
    assert many == [alone] * len(many)
    assert alone == [store._FAILURES, session._WHOLE]


async def test_a_job_that_comes_costs_a_look_what_is_told_of_it_and_a_cycle(
    farm: Farm, app: FastAPI
) -> None:
    await farm.agent("a0")
    poll = asyncio.create_task(farm.gets("a0", wait=60))
    while not app.state.desk.waiting:
        await asyncio.sleep(0.01)
    with recorded_of_desk(app) as statements:
        await farm.job("shot")
        assert await poll == "shot"
    assert statements == [session._LOOK, store._TOLD, session._WHOLE]


async def test_a_list_of_jobs_has_as_many_statements_for_many_as_for_one(
    farm: Farm, app: FastAPI
) -> None:
    parent = await farm.job("first")
    await farm.job("second", parents=[parent["id"]])
    with recorded(app) as few:
        await farm.get("/jobs")
    for number in range(20):
        await farm.job(f"job {number}", parents=[parent["id"]])
    with recorded(app) as many:
        await farm.get("/jobs")
    assert many == few


async def test_where_no_connection_is_to_the_server_that_was_met_last_calls_are_refused_for_now(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.get("/jobs")
    monkeypatch.setattr("app.db.engine.was_left", lambda _: True)
    answer = await farm.client.get("/jobs")
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True), answer.text
