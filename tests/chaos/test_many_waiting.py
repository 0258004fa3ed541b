"""2,000 agents wait at one service that has ten connections, beside agents that work."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.crew import Call
from tests.chaos.heartbeats import heartbeats
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_restart import ONE_CLIENT, all_wait, enlist_many

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

WAITING = 2_000
BUSY = 20
POOL = 10
LEASE = 18
LEASES = 1  # so many of them pass while all wait
MAXIMUM = 700


async def most_connections(on: Stage, over: asyncio.Event) -> int:
    most = 0
    while not over.is_set():
        [found] = await on.postgres.fetch(invariants.CONNECTIONS)
        most = max(most, found["n"])
        await asyncio.sleep(0.1)
    return most


async def until_given(on: Stage, http: httpx.AsyncClient, agent: str) -> Call:
    """The answer that brings work: polls are sent again as they end, as agents do."""
    while True:
        call = await on.ledger.post(http, "/assign", {"agent_id": agent, "wait": 60})
        if call.status != httpx.codes.NO_CONTENT:
            return call


@asynccontextmanager
async def waiting(on: Stage, ids: Sequence[str]) -> AsyncIterator[list[asyncio.Task[Call]]]:
    """A poll of each, held open."""
    async with AsyncExitStack() as stack:
        polls: list[asyncio.Task[Call]] = []
        for first in range(0, len(ids), ONE_CLIENT):
            http = await stack.enter_async_context(client(on.replicas[0].url))
            some = ids[first : first + ONE_CLIENT]
            polls += [asyncio.create_task(until_given(on, http, agent)) for agent in some]
            await all_wait(on, len(polls))
        yield polls


async def give(on: Stage, ids: Sequence[str]) -> dict[str, int]:
    """Work for each of these; the assignment that it holds."""
    held = {}
    async with client(on.replicas[0].url) as http:
        for agent in ids:
            call = await on.ledger.post(http, "/assign", {"agent_id": agent, "wait": 20})
            assert call.answer is not None
            held[agent] = call.answer["id"]
    return held


async def given(polls: Sequence[asyncio.Task[Call]], number: int) -> list[Call]:
    """The answers, once there are so many."""
    while sum(poll.done() for poll in polls) < number:
        await asyncio.sleep(0.1)
    return [poll.result() for poll in polls if poll.done()]


@pytest.mark.usefixtures("many_files")
async def test_beside_2000_polls_on_ten_connections_heartbeats_are_answered_and_work_goes_out(
    stage: Maker,
) -> None:
    async with stage(replicas=1, lease_seconds=LEASE, pool_size=POOL) as on:
        ids = await enlist_many(on, WAITING + BUSY)
        busy, idle = ids[:BUSY], ids[BUSY:]
        await on.farm.job("long", tasks=BUSY)
        held = await give(on, busy)
        over = asyncio.Event()
        connections = asyncio.create_task(most_connections(on, over))
        async with (
            heartbeats(on.replicas[0].url, busy, due=LEASE / 3) as beats,
            waiting(on, idle) as polls,
        ):
            await asyncio.sleep(LEASES * LEASE)
            await all_wait(on, WAITING)
            await on.farm.queue("/few", maximum_agents=MAXIMUM)
            await on.farm.job("shot", tasks=WAITING, queue="/few")
            await given(polls, MAXIMUM)
            await asyncio.sleep(1)
            assert len(await given(polls, MAXIMUM)) == MAXIMUM
            await on.farm.set_queue("/few", maximum_agents=None)
            calls = await given(polls, WAITING)
        over.set()
        assert min(beats.answered[agent] for agent in busy) >= 3 * LEASES
        assert await connections <= POOL + invariants.LISTENERS
        assert {call.status for call in calls} == {200}
        answers = [call.answer for call in calls if call.answer is not None]
        tasks = Counter(task["id"] for answer in answers for task in answer["tasks"])
        assert len(tasks) == tasks.total() == WAITING
        rows = await on.postgres.fetch(
            "SELECT agent_id, id FROM assignments WHERE ended_at IS NULL"
        )
        active = {str(row["agent_id"]): row["id"] for row in rows}
        assert held.items() <= active.items()
        assert await invariants.made(on, "assignment.ended") == []
        assert await invariants.hold(on) == WAITING + BUSY
