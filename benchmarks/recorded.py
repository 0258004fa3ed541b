"""A run of a real service, recorded: what it said of its jobs all along, and what came.

Agents poll over HTTP and sleep for as long as each task takes, some tasks fail, half of the jobs
come while others run. An estimate is what `GET /jobs/{id}` answered.
"""

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from math import log
from typing import Any

from benchmarks.client import Caller
from benchmarks.farm import add_agents
from benchmarks.said import Said
from benchmarks.stage import Stage

Json = dict[str, Any]

AGENTS, JOBS, SECONDS = 20, 48, 360
LOAD = 0.9  # of what the agents can do in that time
SPREAD = 0.4  # of the logarithm of seconds, between tasks of a job
FAILING = 0.04
LOOK_SECONDS = 3
WAIT_SECONDS = 5
PATIENCE = 4  # times as long as foreseen, then it is given up

QUEUES: list[Json] = [
    {"name": "films", "weight": 30},
    {"name": "hero", "parent": "/films", "minimum_agents": 3},
    {"name": "crowd", "parent": "/films", "maximum_agents": 6},
    {"name": "tv", "weight": 20, "maximum_agents": 12},
    {"name": "tests", "weight": 5},
]
LEAVES = ["/films/hero", "/films/crowd", "/tv", "/tests"]


@dataclass
class Run:
    """Moments are seconds of the epoch."""

    draw: random.Random
    url: str
    jobs: list[int] = field(default_factory=list)
    begins: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    finished: dict[int, float] = field(default_factory=dict)
    told: dict[tuple[int, float], Json] = field(default_factory=dict)  # by job and `as_of`

    @property
    def over(self) -> bool:
        return len(self.jobs) == JOBS == len(self.finished)


def recorded(stage: Stage) -> list[Said]:
    """All that was said, of each job once for each time that the service reckoned anew."""
    database = stage.database()
    agent_ids = asyncio.run(add_agents(database, AGENTS))
    seconds = stage.options.length(SECONDS)
    with stage.service(database) as service:
        run = asyncio.run(_run(service.url, agent_ids, seconds))
    return [
        one for (job_id, at), said in run.told.items() for one in _judged(run, job_id, at, said)
    ]


async def _run(url: str, agent_ids: list[str], seconds: float) -> Run:
    run = Run(random.Random(1), url)  # noqa: S311  # the same jobs each time
    caller = await Caller.open(url)
    for queue in QUEUES:
        await caller.must("POST", "/jobqueues", queue)
    async with asyncio.timeout(seconds * PATIENCE), asyncio.TaskGroup() as group:
        group.create_task(_submit(run, seconds))
        for agent_id in agent_ids:
            group.create_task(_work(run, agent_id))
        while not run.over:
            await _look(run, caller)
            await asyncio.sleep(LOOK_SECONDS)
    caller.close()
    return run


async def _submit(run: Run, seconds: float) -> None:
    """Half of the jobs at once, the others within half of the time."""
    caller = await Caller.open(run.url)
    for number in range(JOBS):
        tasks = run.draw.randint(5, 60)
        share = AGENTS * seconds * LOAD / JOBS
        body = {
            "title": f"job {number}",
            "queue": run.draw.choice(LEAVES),
            "frames": f"1-{tasks}",
            "priority": run.draw.choice([0, 0, 0, 0, 10]),
            "batch": run.draw.choice([1, 1, 2]),
            "data": {"seconds": share / tasks * run.draw.uniform(0.5, 1.5)},
        }
        run.jobs.append((await caller.must("POST", "/jobs", body))["id"])
        if number >= JOBS // 2:
            await asyncio.sleep(seconds / JOBS)
    caller.close()


async def _work(run: Run, agent_id: str) -> None:
    """Poll, sleep for each task, report, until all is over."""
    caller = await Caller.open(run.url)
    poll: Json = {"agent_id": agent_id, "wait": WAIT_SECONDS}
    report: Json = {}
    while not run.over:
        work = await caller.must("POST", "/assign", poll | report)
        report = {}
        if work is not None:
            run.begins[work["job"]["id"]].append(time.time())
            report = {"assignment_id": work["id"], "results": await _results(run, work)}
    caller.close()


async def _results(run: Run, work: Json) -> list[Json]:
    results = []
    for task in work["tasks"]:
        median = work["job"]["data"]["seconds"]
        await asyncio.sleep(run.draw.lognormvariate(log(median), SPREAD))
        failed = run.draw.random() < FAILING
        results.append({"task_id": task["id"], "state": "failed" if failed else "done"})
    return results


async def _look(run: Run, caller: Caller) -> None:
    for job_id in [*run.jobs]:
        if job_id in run.finished:
            continue
        job = await caller.must("GET", f"/jobs/{job_id}")
        if job["time_finished"]:
            run.finished[job_id] = _moment(job["time_finished"])
        elif estimate := job["estimate"]:
            run.told.setdefault((job_id, _moment(estimate["as_of"])), estimate)


def _judged(run: Run, job_id: int, at: float, told: Json) -> list[Said]:
    begins = run.begins[job_id]
    begun = any(one <= at for one in begins)
    known = "begun" if begun else "not begun"
    said = [_said(f"finish of what has {known}", told["finish"], at, run.finished[job_id])]
    if not begun:
        said.append(_said("start", told["start"], at, min(begins)))
    return [one for one in said if one is not None]


def _said(what: str, told: Json | None, at: float, came: float) -> Said | None:
    if told is None or came <= at:
        return None
    p10, p50, p90 = (_moment(told[part]) - at for part in ("p10", "p50", "p90"))
    return Said(what, p10, p50, p90, came - at)


def _moment(told: str) -> float:
    return datetime.fromisoformat(told).timestamp()
