"""Operators edit the farm while 64 agents loop: jobs come in, a limit changes, a queue moves.

The queue that moves has 1,000 queues below it. About five times a second each of the three is
called, one after the other.
"""

import asyncio
from collections import defaultdict
from time import perf_counter

import uvloop

from app.db.driver import connect
from benchmarks.agents import Agents, Sample
from benchmarks.client import Caller
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure, percentile, ratio
from benchmarks.stage import Stage

AGENTS = 64
SHAPE = Shape(queues=100, jobs=1_000, tasks=1_000)
PERIOD = 0.2
SUBMIT, LIMIT, MOVE = "submit 1,000 tasks", "change a limit", "move 1,001 queues"

# A queue with 1,000 below it: ten, each with 99.
_MOVING = """
WITH top AS (
    INSERT INTO jobqueues (name, fullpath, parent_jobqueue_id)
    SELECT 'moving', fullpath || '/moving', id FROM jobqueues ORDER BY id LIMIT 1
    RETURNING id, fullpath
),
middle AS (
    INSERT INTO jobqueues (name, fullpath, parent_jobqueue_id)
    SELECT 'm' || n, t.fullpath || '/m' || n, t.id FROM top t, generate_series(1, 10) n
    RETURNING id, fullpath
),
low AS (
    INSERT INTO jobqueues (name, fullpath, parent_jobqueue_id)
    SELECT 'l' || n, m.fullpath || '/l' || n, m.id FROM middle m, generate_series(1, 99) n
)
SELECT id FROM top
"""


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(build(database, SHAPE, AGENTS))
    moving = uvloop.run(_add_moving(database))
    with stage.service(database) as service:
        seconds = stage.options.length(20)
        return uvloop.run(_measure(service.url, agent_ids, moving, seconds))


async def _add_moving(url: str) -> int:
    connection = await connect(url)
    moving: int = await connection.fetchval(_MOVING)
    await connection.close()
    return moving


async def _measure(url: str, agent_ids: list[str], moving: int, seconds: float) -> list[Figure]:
    agents = await Agents.connect([url], agent_ids)
    await agents.loop(seconds / 8)  # to warm up
    quiet = await agents.loop(seconds / 4)
    looping = asyncio.create_task(agents.loop(seconds))
    edits = await _edit(url, moving, perf_counter() + seconds)
    edited = await looping
    agents.close()
    return [*_of_edits(edits), *_of_loop(quiet, edited)]


async def _edit(url: str, moving: int, until: float) -> dict[str, list[float]]:
    """Seconds of each call, by what it did."""
    operator = await Caller.open(url)
    found = (await operator.must("GET", "/jobqueues?parent_jobqueue_id=null&limit=3"))["items"]
    limited, *homes = (queue["id"] for queue in found)
    taken: dict[str, list[float]] = defaultdict(list)
    number = 0
    while (begun := perf_counter()) < until:
        job = {"title": "edit", "job_queue_id": limited, "start": 1, "end": 1_000}
        limit = {"maximum_agents": 100 + number % 2}
        move = {"parent_jobqueue_id": homes[number % 2]}
        await _timed(operator, taken[SUBMIT], "POST", "/jobs", job)
        await _timed(operator, taken[LIMIT], "PATCH", f"/jobqueues/{limited}", limit)
        await _timed(operator, taken[MOVE], "PATCH", f"/jobqueues/{moving}", move)
        number += 1
        await asyncio.sleep(max(0, begun + PERIOD - perf_counter()))
    operator.close()
    return taken


async def _timed(
    operator: Caller, taken: list[float], method: str, path: str, body: object
) -> None:
    asked = perf_counter()
    await operator.must(method, path, body)
    taken.append(perf_counter() - asked)


def _of_edits(edits: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for what, taken in edits.items():
        figures += [
            Figure(f"{what}: calls", len(taken)),
            Figure(f"{what}: p50", percentile(taken, 50, 1_000), "ms"),
            Figure(f"{what}: p99", percentile(taken, 99, 1_000), "ms", at_most=50),
        ]
    return figures


def _of_loop(quiet: Sample, edited: Sample) -> list[Figure]:
    return [
        Figure("loop without edits", quiet.per_second, "/s"),
        Figure("loop with edits", edited.per_second, "/s"),
        Figure("loop, with to without", ratio(edited.per_second, quiet.per_second)),
        Figure("loop with edits: p99", edited.ms(99), "ms"),
        Figure("loop with edits: refused", edited.refused.total(), "", at_most=0),
    ]
