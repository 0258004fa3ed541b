"""1,000 agents wait on an empty farm; how soon one of them has the task of a job just submitted."""

import asyncio
from http import HTTPStatus
from time import perf_counter

import pydantic_core
import uvloop

from benchmarks.agents import ASSIGN, IDLE_SECONDS
from benchmarks.client import CONNECTING_AT_ONCE, Caller, Wire, request
from benchmarks.farm import add_agents
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Stage

AGENTS = 1_000
WAIT = 60
FEWEST = 200  # samples, however short the measurement


class _Waiting:
    """An agent that waits; what it gets it reports with its next poll, and waits on."""

    def __init__(self, agent_id: str, woken: asyncio.Queue[float]) -> None:
        self.wire = Wire(self._answered, self._lost)
        self._id = agent_id
        self._woken = woken

    def wait(self, **report: object) -> None:
        body = {"agent_id": self._id, "wait": WAIT} | report
        self.wire.transport.write(request(ASSIGN, pydantic_core.to_json(body)))

    def _answered(self, status: int, content: bytes) -> None:
        if status != HTTPStatus.OK:  # nothing came for a minute, or the service was away
            asyncio.get_running_loop().call_later(IDLE_SECONDS, self.wait)
            return
        self._woken.put_nowait(perf_counter())
        told = pydantic_core.from_json(content)
        results = [{"task_id": task["id"], "state": "done"} for task in told["tasks"]]
        self.wait(assignment_id=told["id"], results=results)

    def _lost(self, error: Exception) -> None:
        raise error


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(add_agents(database, AGENTS))
    with stage.service(database) as service:
        after, whole = uvloop.run(_measure(service.url, agent_ids, stage.options.length(8)))
    return [
        Figure("samples", len(after)),
        Figure("from the 201 to the work: p50", percentile(after, 50, 1_000), "ms", at_most=5),
        Figure("from the 201 to the work: p99", percentile(after, 99, 1_000), "ms", at_most=25),
        Figure("from the request to the work: p50", percentile(whole, 50, 1_000), "ms"),
        Figure("from the request to the work: p99", percentile(whole, 99, 1_000), "ms"),
    ]


async def _measure(
    url: str, agent_ids: list[str], seconds: float
) -> tuple[list[float], list[float]]:
    """Submit one job after the other; seconds from the 201, and from the request, to the work.

    Work may be there before the 201 is: that is a time below zero.
    """
    woken: asyncio.Queue[float] = asyncio.Queue()
    agents = await _all_wait(url, agent_ids, woken)
    operator = await Caller.open(url)
    after: list[float] = []
    whole: list[float] = []
    until = perf_counter() + seconds
    while perf_counter() < until or len(whole) < FEWEST:
        asked = perf_counter()
        await operator.must("POST", "/jobs", {"title": "one", "start": 1, "end": 1})
        submitted = perf_counter()
        at_work = await asyncio.wait_for(woken.get(), WAIT)
        after.append(at_work - submitted)
        whole.append(at_work - asked)
    for agent in agents:
        agent.wire.close()
    operator.close()
    return after, whole


async def _all_wait(url: str, agent_ids: list[str], woken: asyncio.Queue[float]) -> list[_Waiting]:
    agents = [_Waiting(agent_id, woken) for agent_id in agent_ids]
    for first in range(0, len(agents), CONNECTING_AT_ONCE):
        some = agents[first : first + CONNECTING_AT_ONCE]
        await asyncio.gather(*(agent.wire.connect(url) for agent in some))
    for agent in agents:
        agent.wait()
    await asyncio.sleep(2)  # until each of them waits
    return agents
