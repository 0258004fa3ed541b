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
    found: list[list[str]] = []
    for statement in statements:
        if statement == session._BEGIN:
            found.append([])
        if statement != store._TOLD:  # of jobs that this process never gave out before
            found[-1].append(statement)
    return found


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
    assert alone == [session._BEGIN, store._FAILURES, session._WRITE]


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


async def test_a_connection_used_a_moment_ago_is_not_asked_whether_it_is_there(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialect, asked = app.state.engine.sync_engine.dialect, []
    ping = dialect.do_ping

    def noted(connection: object) -> bool:
        asked.append(connection)
        return bool(ping(connection))

    await farm.get("/jobs")
    monkeypatch.setattr(dialect, "do_ping", noted)
    await farm.get("/jobs")
    assert asked == []
    monkeypatch.setattr("app.db.engine.FRESH_SECONDS", -1)
    await farm.get("/jobs")
    assert len(asked) == 1


@pytest.mark.parametrize("fresh", [-1, 60])
async def test_a_connection_that_is_gone_is_replaced_before_it_is_used(
    farm: Farm, app: FastAPI, monkeypatch: pytest.MonkeyPatch, fresh: float
) -> None:
    monkeypatch.setattr("app.db.engine.FRESH_SECONDS", fresh)
    await farm.get("/jobs")
    other = await asyncpg.connect(app.state.url.replace("+asyncpg", ""))
    await other.execute("""
        SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """)
    await other.close()
    await farm.get("/jobs")
