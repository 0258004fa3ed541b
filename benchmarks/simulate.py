"""Simulations beside a 64 agents loop, by turns without and with them; and a large one alone.

Beside the loop simulations of the live farm run one after the other, all the time. The large one
has 10,000 agents, 1,000 queues and 480,000 tasks of half an hour: a day of work.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from typing import Any

import psutil
import uvloop

from benchmarks.agents import Agents, Sample
from benchmarks.client import Caller
from benchmarks.farm import SMALL, build
from benchmarks.figures import Figure, percentile, ratio
from benchmarks.scale import median_speed, merged
from benchmarks.stage import Stage

AGENTS = 64
ROUNDS = 3
LONGEST_SECONDS = 300  # beside agents that use all of both cores little is left for it
WITHIN = 1.25
HOURS = 24
BESIDE = {"hours": 2, "default_task_seconds": 60}
LARGE_AGENTS, LARGE_QUEUES, LARGE_TASKS, TASK_SECONDS = 10_000, 1_000, 480_000, 1_800


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(build(database, SMALL, AGENTS))
    with stage.service(database, simulate_seconds=LONGEST_SECONDS) as service:
        seconds = stage.options.length(8)
        without, with_it, taken = uvloop.run(_by_turns(service.url, agent_ids, seconds))
    speeds = median_speed(without), median_speed(with_it)
    calm, busy = merged(without), merged(with_it)
    return [
        Figure("simulations beside the loop", len(taken)),
        Figure("simulations: p50", percentile(taken, 50), "s"),
        Figure("loop without", speeds[0], "/s"),
        Figure("loop with", speeds[1], "/s"),
        Figure("loop, without to with", ratio(*speeds), "", at_most=WITHIN),
        Figure("p99 without", calm.ms(99), "ms"),
        Figure("p99 with", busy.ms(99), "ms"),
        Figure("p99, with to without", ratio(busy.ms(99), calm.ms(99)), "", at_most=WITHIN),
        Figure("refused", busy.refused.total(), "", at_most=0),
        *_large(),
    ]


async def _by_turns(
    url: str, agent_ids: list[str], seconds: float
) -> tuple[list[Sample], list[Sample], list[float]]:
    agents = await Agents.connect([url], agent_ids)
    caller = await Caller.open(url)
    without, with_it = [], []
    taken: list[float] = []
    await agents.loop(seconds / 2)  # to warm up
    for _ in range(ROUNDS):
        without.append(await agents.loop(seconds))
        looping = asyncio.create_task(agents.loop(seconds))
        while not looping.done():
            asked = time.perf_counter()
            await caller.must("POST", "/simulate", BESIDE)
            taken.append(time.perf_counter() - asked)
        with_it.append(await looping)
    agents.close()
    caller.close()
    return without, with_it, taken


def _large() -> list[Figure]:
    """The large one, in a process as the service starts it: its start and the reading as well."""
    started = time.perf_counter()
    used = psutil.Process().cpu_times()
    done = subprocess.run(
        [sys.executable, "-m", "app.simulation.worker", "600", "4000"],
        input=b'{"url": ""}\n' + json.dumps(_farm()).encode(),
        capture_output=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    after = psutil.Process().cpu_times()
    processor = after.children_user + after.children_system
    processor -= used.children_user + used.children_system
    told = json.loads(done.stdout.partition(b"\n")[2])
    of = f"{LARGE_AGENTS:,} agents, {LARGE_QUEUES:,} queues, a day"
    return [
        Figure(f"{of}: assignments", told["changed"]["assignments"]),
        Figure(f"{of}: time", seconds, "s"),
        Figure(f"{of}: processor", processor, "s", at_most=10),
    ]


def _farm() -> dict[str, Any]:
    """Three levels of queues with weights, minimums and maximums; two sorts of agents."""
    draw = random.Random(1)  # noqa: S311  # the same farm each time
    paths = [f"/s{n}" for n in range(10)]
    paths += [f"/s{n % 10}/p{n}" for n in range(100)]
    middle = paths[10:]
    paths += [f"{middle[n % 100]}/q{n}" for n in range(LARGE_QUEUES - len(paths))]
    leaves = paths[110:]
    queues: list[dict[str, Any]] = [
        {"queue": path, "weight": draw.choice([1, 5, 10, 20, 60])} for path in paths
    ]
    for queue in queues[110:]:
        queue.update(draw.choice([{}, {}, {"minimum_agents": 2}, {"maximum_agents": 200}]))
    jobs = [
        {
            "title": f"job {n}",
            "queue": leaves[n % len(leaves)],
            "tasks": LARGE_TASKS // (3 * len(leaves)),
            "seconds_per_task": TASK_SECONDS,
            "weight": draw.choice([1, 10, 100]),
            "ram": draw.choice([32, 4_096, 32_768]),
        }
        for n in range(3 * len(leaves))
    ]
    half = LARGE_AGENTS // 2
    agents = [{"count": half, "cpus": 16, "ram": 65_536}, {"count": half, "ram": 16_384}]
    return {"farm": {"queues": queues, "jobs": jobs, "agents": agents}, "hours": HOURS}
