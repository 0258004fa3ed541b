"""All that a decision needs of a kept farm, in words that two of them can be compared by."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from app.db.driver import connect
from app.scheduler import store
from app.scheduler.feed import Outdated
from app.scheduler.kept import Holding, KeptAgent, KeptFarm
from app.scheduler.told import Told
from tests.policy.looks import in_use, looks
from tests.tokens import NO_TOKENS


def words(kept: KeptFarm) -> dict[str, Any]:
    nodes = looks(kept.farm)
    for (kind, job_id), told in nodes.items():
        if kind == "job":
            waiting = kept.jobs[job_id].job.waiting
            told["failed_by"] = {
                ordinal: by for ordinal, by in told["failed_by"].items() if ordinal in set(waiting)
            }
    _hangs_together(kept)
    return {
        "nodes": nodes,
        "kinds": in_use(kept.farm.kinds),
        "online": kept.farm.online,
        "queues": set(kept.queues),
        "jobs": {
            job_id: (job.requeue, job.undone, job.unfinished, job.parents)
            for job_id, job in kept.jobs.items()
        },
        "agents": {agent_id: _agent(agent) for agent_id, agent in kept.agents.items()},
        "held": {holding.id: _holding(holding) for holding in kept.held.values()},
        "children": {job: children for job, children in kept.children.items() if children},
    }


def _agent(agent: KeptAgent) -> tuple[Any, ...]:
    return agent.facts, agent.mode, agent.online, agent.held and _holding(agent.held)


def _holding(one: Holding) -> tuple[Any, ...]:
    return one.id, one.agent_id, one.job_id, list(one.ordinals), one.done, one.failed, one.ended


def _hangs_together(kept: KeptFarm) -> None:
    """The same thing under two names is one object, not two of which one grows old."""
    for name, queue in kept.queues.items():
        assert queue.id == name
        assert queue.parent is not None
    for name, job in kept.jobs.items():
        assert job.job.id == name
        assert job.job.parent is not None
    for agent in kept.agents.values():
        assert agent.held is None or kept.held[agent.held.id] is agent.held
        assert kept.farm.online.get(agent.facts.id, agent.facts) is agent.facts


@dataclass
class Witness:
    """A process that serves nobody: it reads the farm once, and then only what changed."""

    connection: asyncpg.Connection
    kept: KeptFarm

    async def catches_up(self) -> None:
        await self.kept.refresh(self.connection)

    async def is_outdated(self) -> bool:
        try:
            await self.catches_up()
        except Outdated:
            return True
        return False

    async def fresh(self) -> KeptFarm:
        return await KeptFarm.load(self.connection, NO_TOKENS)


@asynccontextmanager
async def watching(database: str) -> AsyncIterator[Witness]:
    connection = await connect(database)
    try:
        yield Witness(connection, await KeptFarm.load(connection, NO_TOKENS))
    finally:
        await connection.close()


async def served(client: httpx.AsyncClient) -> None:
    """A cycle comes and goes: it takes in all that was committed, and gives nothing."""
    answer = await client.post("/assign", json={"agent_id": str(uuid4())})
    assert answer.status_code == 404, answer.text


async def all_equal(client: httpx.AsyncClient, app: FastAPI, witness: Witness) -> None:
    """The desk's farm, the witness's, and one read from the database just now are the same."""
    await served(client)
    await witness.catches_up()
    fresh = words(await witness.fresh())
    desk = app.state.desk._cycles.kept
    assert words(desk) == fresh, "the farm that takes part in cycles"
    assert words(witness.kept) == fresh, "the farm that only catches up"
    await told_is_true(witness.connection, desk)


async def told_is_true(connection: asyncpg.Connection, kept: KeptFarm) -> None:
    """What is kept of what agents are told is what the database says."""
    said = dict(kept.told._jobs)
    assert said.keys() <= kept.jobs.keys()
    anew = Told()
    anew.add(await store.told(connection, list(said)))
    assert said == anew._jobs
