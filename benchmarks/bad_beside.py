"""Bad cases that happen beside a loop: what each of them does to the farm while agents loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter

from benchmarks.agents import Agents
from benchmarks.client import CONNECTING_AT_ONCE, Caller
from benchmarks.crowd import come_back
from benchmarks.farm import add_agents

CLAIMING = 1_000
RETURNING = 10_000
PATCHES = 1_000
MILLION = 1_000_000
TOP_PRIORITY = 1_000


@dataclass
class Beside:
    """The farm that a bad case happens on, and what the case told of itself."""

    database: str
    url: str
    told: dict[str, list[float]] = field(default_factory=dict)

    def tell(self, what: str, number: float) -> None:
        self.told.setdefault(what, []).append(number)


# A case gets ready; what it yields then happens once, for at most so many seconds.
Happening = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def million_tasks(beside: Beside) -> AsyncIterator[Happening]:
    """A job of 1,000,000 tasks goes first, and 1,000 agents claim of it at once."""
    agents = await Agents.connect([beside.url], await add_agents(beside.database, CLAIMING))
    operator = await Caller.open(beside.url)

    async def happen(_seconds: float) -> None:
        asked = perf_counter()
        job = {"title": "million", "start": 1, "end": MILLION, "priority": TOP_PRIORITY}
        job_id = (await operator.must("POST", "/jobs", job))["id"]
        beside.tell("job submitted after, ms", (perf_counter() - asked) * 1_000)
        sample = await agents.loop(0)
        beside.tell("claimed by all after, ms", sample.seconds * 1_000)
        # The loop shall not go on with it: then both rounds without it would differ.
        await operator.must("POST", f"/jobs/{job_id}/pause", {"stop": False})

    yield happen
    agents.close()
    operator.close()


@asynccontextmanager
async def all_return(beside: Beside) -> AsyncIterator[Happening]:
    """10,000 agents come back in one second: a heartbeat and a poll of each. None fits a job."""
    agent_ids = await add_agents(beside.database, RETURNING, cpus=0)

    async def happen(_seconds: float) -> None:
        told = await come_back(beside.url, agent_ids)
        beside.tell("all answered after, ms", told.seconds * 1_000)
        beside.tell("calls refused and repeated", told.refused)

    yield happen


@asynccontextmanager
async def fits_nothing(beside: Beside) -> AsyncIterator[Happening]:
    """One agent that no job fits polls all the time, without waiting."""
    agent_ids = await add_agents(beside.database, 1, cpus=0)
    agent = await Agents.connect([beside.url], agent_ids, pause=0)

    async def happen(seconds: float) -> None:
        sample = await agent.loop(seconds)
        beside.tell("its polls a second", sample.idle / sample.seconds)

    yield happen
    agent.close()


@asynccontextmanager
async def thousand_patches(beside: Beside) -> AsyncIterator[Happening]:
    """An operator changes 1,000 queues in a row; as many as there is time for."""
    operator = await Caller.open(beside.url)
    queues = await _empty_queues(beside.url)

    async def happen(seconds: float) -> None:
        started = perf_counter()
        changed = 0
        for changed, queue_id in enumerate(queues, 1):
            await operator.must("PATCH", f"/jobqueues/{queue_id}", {"weight": changed % 100})
            if perf_counter() - started >= seconds:
                break
        beside.tell("queues changed a second", changed / (perf_counter() - started))

    yield happen
    operator.close()


async def _empty_queues(url: str) -> list[int]:
    """The ids of 1,000 queues that are made for it."""
    callers = await asyncio.gather(*(Caller.open(url) for _ in range(CONNECTING_AT_ONCE // 20)))

    async def make(place: int) -> list[int]:
        numbers = range(place, PATCHES, len(callers))
        bodies = ({"name": f"patched{number}"} for number in numbers)
        return [(await callers[place].must("POST", "/jobqueues", body))["id"] for body in bodies]

    made = await asyncio.gather(*map(make, range(len(callers))))
    for caller in callers:
        caller.close()
    return [queue_id for some in made for queue_id in some]
