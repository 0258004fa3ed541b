"""2,000 agents wait at one service that has ten connections, beside agents that work."""

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.crew import Call
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_restart import all_wait, enlist_many

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

WAITING = 2_000
BUSY = 20
POOL = 10
LEASE = 18
LEASES = 1  # so many of them pass while all wait
MAXIMUM = 700
FILES = 3 * WAITING  # the service's, and the clients' own
ONE_CLIENT = 100  # a client looks through all of its connections for each call


@pytest.fixture
def many_files() -> Iterator[None]:
    """A poll that is held open is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= FILES or hard == resource.RLIM_INFINITY, f"`ulimit -Hn` must be {FILES} or more"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def beat(on: Stage, agent: str, over: asyncio.Event) -> int:
    """Heartbeats as often as the service wants them, each answered before the next one is due."""
    answered = 0
    async with client(on.replicas[0].url, timeout=LEASE / 3) as http:
        while not over.is_set():
            answer = await http.post(f"/agents/{agent}/heartbeat", json={})
            assert answer.status_code == 200, answer.text
            assert answer.json()["stop"] == []
            answered += 1
            await asyncio.sleep(answer.json()["heartbeat_seconds"])
    return answered


async def most_connections(on: Stage, over: asyncio.Event) -> int:
    most = 0
    while not over.is_set():
        [found] = await on.postgres.fetch(invariants.CONNECTIONS)
        most = max(most, found["n"])
        await asyncio.sleep(0.1)
    return most


@asynccontextmanager
async def waiting(on: Stage, ids: Sequence[str]) -> AsyncIterator[list[asyncio.Task[Call]]]:
    """A poll of each, held open. Some after others: this process has heartbeats to send as well."""
    async with AsyncExitStack() as stack:
        polls: list[asyncio.Task[Call]] = []
        for first in range(0, len(ids), ONE_CLIENT):
            http = await stack.enter_async_context(client(on.replicas[0].url))
            some = ids[first : first + ONE_CLIENT]
            asks = [{"agent_id": agent, "wait": 60} for agent in some]
            polls += [asyncio.create_task(on.ledger.post(http, "/assign", ask)) for ask in asks]
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
        beats = [asyncio.create_task(beat(on, agent, over)) for agent in busy]
        connections = asyncio.create_task(most_connections(on, over))
        async with waiting(on, idle) as polls:
            await asyncio.wait(beats, timeout=LEASES * LEASE, return_when=asyncio.FIRST_EXCEPTION)
            assert not any(task.done() for task in beats), [task for task in beats if task.done()]
            assert await on.metric(on.replicas[0], "farmqueue_waiting_polls") == WAITING
            await on.farm.queue("/few", maximum_agents=MAXIMUM)
            await on.farm.job("shot", tasks=WAITING, queue="/few")
            await given(polls, MAXIMUM)
            await asyncio.sleep(1)
            assert len(await given(polls, MAXIMUM)) == MAXIMUM
            await on.farm.set_queue("/few", maximum_agents=None)
            calls = await given(polls, WAITING)
        over.set()
        assert min(await asyncio.gather(*beats)) >= 3 * LEASES
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
