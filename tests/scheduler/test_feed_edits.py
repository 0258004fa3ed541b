"""Which edits are news, and of what: neither more nor less than what a decision needs."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI

from app.scheduler.reaper import reap
from tests.farm import Farm
from tests.scheduler.reader import NOTHING, Reader

Edit = Callable[[Farm, FastAPI], Awaitable[Any]]


async def expire(_: Farm, app: FastAPI) -> None:
    async with app.state.engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE agents SET lease_expires_at = now() - interval '1 s' WHERE hostname = 'busy'"
        )
        await reap(connection, app.state.settings)


async def progress(farm: Farm, _: FastAPI) -> None:
    assert (await farm.report("busy", "running", progress=0.5)).status_code == 200


async def delete(farm: Farm, url: str) -> None:
    assert (await farm.client.delete(url)).status_code == 204


def of_job(title: str, action: str, **body: Any) -> Edit:
    return lambda farm, _: farm.post(f"/jobs/{farm.jobs[title]}/{action}", body or None)


EDITS: dict[str, tuple[Edit, set[str]]] = {
    "a queue is made": (lambda f, _: f.queue("/new"), {"/new"}),
    "a queue is limited": (lambda f, _: f.set_queue("/films", maximum_agents=3), {"/films"}),
    "a queue gets a name": (lambda f, _: f.set_queue("/films", name="x"), {"/films"}),
    "a queue moves": (lambda f, _: f.set_queue("/films/one", parent="/"), {"/films/one"}),
    "a queue stays as it is": (lambda f, _: f.set_queue("/films", weight=10), set()),
    "a queue goes": (lambda f, _: delete(f, f"/jobqueues/{f.queues['/empty']}"), {"/empty"}),
    "a job comes": (lambda f, _: f.job("new"), {"new"}),
    "a job comes that waits": (lambda f, _: f.job("new", parents=[f.jobs["last"]]), {"new"}),
    "a job is limited": (lambda f, _: f.set_job("first", maximum_agents=3), {"first"}),
    "a job waits for others": (
        lambda f, _: f.set_job("last", parents=[f.jobs["free"]]),
        {"last"},
    ),
    "a job waits for none": (lambda f, _: f.set_job("last", parents=[]), {"last"}),
    "a job is paused": (of_job("first", "pause"), {"first"}),
    "a job is stopped": (of_job("first", "pause", stop=True), {"first", "busy"}),
    "a job goes on that was not paused": (of_job("first", "resume"), set()),
    "a job begins anew": (of_job("first", "rerun"), {"first"}),
    "nothing failed": (of_job("first", "rerun-failed"), set()),
    "a job goes": (lambda f, _: delete(f, f"/jobs/{f.jobs['free']}"), {"free"}),
    "a job goes for which another waits no more": (
        lambda f, _: delete(f, f"/jobs/{f.jobs['last']}"),
        {"last"},
    ),
    "an agent comes": (lambda f, _: f.agent("new"), {"new"}),
    "an agent comes again": (lambda f, _: f.agent("idle"), set()),
    "an agent comes again with more": (lambda f, _: f.agent("idle", cpus=64), {"idle"}),
    "an agent has tags": (lambda f, _: f.set_agent("idle", tags=["gpu"]), {"idle"}),
    "an agent has a version": (lambda f, _: f.set_agent("idle", version="2"), set()),
    "an agent drains": (lambda f, _: f.set_agent("busy", state="draining"), {"busy"}),
    "an agent is disabled": (lambda f, _: f.set_agent("busy", state="disabled"), {"busy", "first"}),
    "an idle agent goes": (lambda f, _: delete(f, f"/agents/{f.agents['idle']}"), {"idle"}),
    "an agent goes": (lambda f, _: delete(f, f"/agents/{f.agents['busy']}"), {"busy", "first"}),
    "an agent lives": (lambda f, _: f.heartbeat("busy"), set()),
    "an agent has the memory that it had": (lambda f, _: f.heartbeat("busy", free_ram=9), set()),
    "an agent has other memory": (lambda f, _: f.heartbeat("busy", free_ram=8), {"busy"}),
    "an agent asks again": (lambda f, _: f.assign("busy"), set()),
    "an agent asks and gets nothing": (lambda f, _: f.assign("idle", free_ram=1), {"idle"}),
    "an agent gets work": (lambda f, _: f.assign("idle"), {"idle", "first"}),
    "an agent tells how far it is": (progress, set()),
    "an agent is done": (lambda f, _: f.finish("busy"), {"busy", "first"}),
    "an agent fails": (lambda f, _: f.fail("busy"), {"busy", "first"}),
    "an agent gives back": (
        lambda f, _: f.post(f"/assignments/{f.held['busy']['id']}/release"),
        {"busy", "first"},
    ),
    "a lease runs out": (expire, {"busy", "first"}),
}


@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_writes_the_ids_of_what_it_changes_and_no_others(
    farm: Farm, app: FastAPI, reader: Reader, name: str
) -> None:
    for path in ("/films", "/films/one", "/empty"):
        await farm.queue(path)
    await farm.job("first", tasks=3, queue="/films/one", ram=2)
    await farm.job("last", parents=[farm.jobs["first"]])
    await farm.job("free", paused=True)
    await farm.agent("busy", free_ram=9)
    await farm.agent("idle")
    assert await farm.gets("busy") == "first"
    await reader.news()
    edit, expected = EDITS[name]
    await edit(farm, app)
    queues, jobs, agents = await reader.news()
    named = farm.queues | farm.jobs | farm.agents
    assert queues == {named[one] for one in expected if one.startswith("/")}
    assert jobs == {named[one] for one in expected & farm.jobs.keys()}
    assert agents == {named[one] for one in expected & farm.agents.keys()}
    assert await reader.news() == NOTHING
