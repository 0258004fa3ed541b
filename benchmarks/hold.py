"""10,000 polls held open by one process: memory and processor time, connections, heartbeats."""

import asyncio
from time import perf_counter

import psutil
import uvloop

from app.db.driver import connect
from benchmarks.client import CONNECTING_AT_ONCE, Caller, open_many
from benchmarks.farm import add_agents
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Service, Stage

POLLS = 10_000
WAIT = 60
POOL = 10
HEARTBEATS = 50  # a second
_KB = 1_024

_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'farmqueue' AND datname = current_database()
"""


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(add_agents(database, POLLS))
    idle = stage.options.length(20)
    with stage.service(database, pool_size=POOL) as service:
        return uvloop.run(_measure(database, service, agent_ids, idle))


async def _measure(
    database: str, service: Service, agent_ids: list[str], idle: float
) -> list[Figure]:
    process = psutil.Process(service.pid)
    callers = await open_many(service.url, HEARTBEATS)
    await _beat(callers, agent_ids, 1)  # to warm up
    before = process.memory_info().rss
    began = perf_counter()
    polls = await _hold(service.url, agent_ids)
    ramp = perf_counter() - began
    memory = process.memory_info().rss - before
    busy = await _busy(process, idle)
    beats = await _beat(callers, agent_ids, idle / 2)
    held = sum(not poll.done() for poll in polls)
    connections = await _connections(database)
    for poll in polls:
        poll.cancel()
    return [
        Figure("polls held at the end", held, "", at_least=POLLS),
        Figure("memory of a poll", memory / POLLS / _KB, "KB", at_most=40),
        Figure(f"processor over {idle:g} idle seconds", busy, "% of a core", at_most=3),
        Figure("database connections", connections, "", at_most=POOL),
        Figure("heartbeats", len(beats)),
        Figure("heartbeats: p50", percentile(beats, 50, 1_000), "ms"),
        Figure("heartbeats: p99", percentile(beats, 99, 1_000), "ms", at_most=50),
        Figure("all polls open after", ramp, "s"),
    ]


async def _hold(url: str, agent_ids: list[str]) -> list[asyncio.Task[object]]:
    """Open all the polls; the service has taken each of them in at the end."""
    polls: list[asyncio.Task[object]] = []
    for first in range(0, len(agent_ids), CONNECTING_AT_ONCE):
        some = list(enumerate(agent_ids))[first : first + CONNECTING_AT_ONCE]
        callers = await asyncio.gather(*(Caller.open(url, number) for number, _ in some))
        for caller, (_, agent_id) in zip(callers, some, strict=True):
            body = {"agent_id": agent_id, "wait": WAIT}
            polls.append(asyncio.create_task(caller.call("POST", "/assign", body)))
        await asyncio.sleep(0)
    probe = await Caller.open(url)
    for _ in range(3):  # calls behind them: once answered, the polls were read as well
        await probe.must("GET", "/readyz")
        await asyncio.sleep(1)
    probe.close()
    return polls


async def _busy(process: psutil.Process, seconds: float) -> float:
    """Percent of a core that the process uses while nobody calls."""
    used, began = _cpu(process), perf_counter()
    await asyncio.sleep(seconds)
    return (_cpu(process) - used) / (perf_counter() - began) * 100


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def _beat(callers: list[Caller], agent_ids: list[str], seconds: float) -> list[float]:
    """Heartbeats at a steady pace, whether the ones before are answered or not; seconds of each.

    A call that finds its connection busy waits: its time counts from when it was due.
    """
    began = perf_counter()
    beats = []
    latencies: list[float] = []
    free = [asyncio.Lock() for _ in callers]
    for number in range(int(seconds * HEARTBEATS)):
        due = began + number / HEARTBEATS
        await asyncio.sleep(max(0, due - perf_counter()))
        at = number % len(callers)
        path = f"/agents/{agent_ids[number % len(agent_ids)]}/heartbeat"
        beats.append(asyncio.create_task(_call(callers[at], free[at], path, due, latencies)))
    await asyncio.gather(*beats)
    return latencies


async def _call(
    caller: Caller, free: asyncio.Lock, path: str, due: float, latencies: list[float]
) -> None:
    async with free:
        await caller.must("POST", path, {})
    latencies.append(perf_counter() - due)


async def _connections(database: str) -> int:
    connection = await connect(database)
    found: int = await connection.fetchval(_CONNECTIONS)
    await connection.close()
    return found
