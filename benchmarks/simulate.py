"""Simulations beside a loop of 64 agents by turns; and a large one alone.

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

from benchmarks.agents import Sample
from benchmarks.client import Caller
from benchmarks.farm import SMALL, build
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Stage
from benchmarks.turns import AGENTS, PACED, at_full_speed, paced

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
        figures = uvloop.run(_beside(service.url, agent_ids, seconds))
    return [*figures, *_large()]


async def _beside(url: str, agent_ids: list[str], seconds: float) -> list[Figure]:
    caller = await Caller.open(url)
    taken: list[float] = []

    async def simulate(looping: "asyncio.Task[Sample]") -> None:
        while not looping.done():
            asked = time.perf_counter()
            await caller.must("POST", "/simulate", BESIDE)
            taken.append(time.perf_counter() - asked)

    full = await at_full_speed(url, agent_ids, seconds, simulate)
    figures = [*_told("full speed", taken), *full.figures("full speed")]
    taken.clear()
    calm = await paced(url, agent_ids, seconds, simulate)
    caller.close()
    at = f"{PACED} a second"
    return [*figures, *_told(at, taken), *calm.figures(at, within=WITHIN)]


def _told(name: str, taken: list[float]) -> list[Figure]:
    return [
        Figure(f"{name}: simulations beside the loop", len(taken)),
        Figure(f"{name}: simulations, p50", percentile(taken, 50), "s"),
    ]


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
