"""Bad cases beside a 64 agents loop, by turns without and with each of them in one run.

What happens beside the loop is in bad_beside.py. Two cases are farms of their own instead, looped
by turns with a good one: a queue that holds 50,000 jobs, and jobs of which every task fails.
"""

import asyncio
import statistics
from collections.abc import Sequence

import uvloop

from benchmarks import bad_beside
from benchmarks.agents import Agents, Sample
from benchmarks.bad_beside import Beside
from benchmarks.farm import SMALL, Shape, build
from benchmarks.figures import Figure, ratio
from benchmarks.scale import median_speed, merged
from benchmarks.stage import Stage

AGENTS = 64
ROUNDS = 2
WITHIN = 2.0

BESIDE = {
    "1,000 agents claim of 1,000,000 tasks": bad_beside.million_tasks,
    "10,000 agents come back": bad_beside.all_return,
    "an agent that fits nothing polls": bad_beside.fits_nothing,
    "1,000 queues are changed": bad_beside.thousand_patches,
}
FARMS = {
    "50,000 jobs in one queue": (Shape(queues=1, jobs=50_000, tasks=10), "done"),
    "every task fails, requeue 3": (SMALL, "failed"),
    "every task fails, requeue -1": (Shape(SMALL.queues, SMALL.jobs, SMALL.tasks, -1), "failed"),
}


def run(stage: Stage) -> list[Figure]:
    seconds = stage.options.length(5)
    figures: list[Figure] = []
    for name in BESIDE:
        figures += _beside(stage, name, seconds)
    for name, (shape, said) in FARMS.items():
        figures += _on_another_farm(stage, name, shape, said, seconds)
    return figures


def _beside(stage: Stage, name: str, seconds: float) -> list[Figure]:
    """Loop on one farm, by turns without the case and while it happens."""
    database = stage.database()
    agent_ids = uvloop.run(build(database, SMALL, AGENTS))
    with stage.service(database) as service:
        beside = Beside(database, service.url)
        without, with_it = uvloop.run(_happens(beside, name, agent_ids, seconds))
    told = [
        Figure(f"{name}: {what}", statistics.median(found)) for what, found in beside.told.items()
    ]
    return [*_compared(name, without, with_it), *told]


async def _happens(
    beside: Beside, name: str, agent_ids: list[str], seconds: float
) -> tuple[list[Sample], list[Sample]]:
    agents = await Agents.connect([beside.url], agent_ids)
    without, with_it = [], []
    async with BESIDE[name](beside) as happen:
        await agents.loop(seconds / 4)  # to warm up
        for _ in range(ROUNDS):
            without.append(await agents.loop(seconds))
            sample, _ = await asyncio.gather(agents.loop(seconds), happen(seconds))
            with_it.append(sample)
    agents.close()
    return without, with_it


def _on_another_farm(
    stage: Stage, name: str, shape: Shape, said: str, seconds: float
) -> list[Figure]:
    """Loop by turns on a good farm and on the bad one."""
    good, bad = stage.database(), stage.database()
    crowds = [uvloop.run(build(good, SMALL, AGENTS)), uvloop.run(build(bad, shape, AGENTS))]
    with stage.service(good) as on_good, stage.service(bad) as on_bad:
        urls = [on_good.url, on_bad.url]
        without, with_it = uvloop.run(_by_turns(urls, crowds, said, seconds))
    return _compared(name, without, with_it)


async def _by_turns(
    urls: list[str], crowds: list[list[str]], said: str, seconds: float
) -> list[list[Sample]]:
    at_good = await Agents.connect(urls[:1], crowds[0])
    at_bad = await Agents.connect(urls[1:], crowds[1], said=said)
    for agents in (at_good, at_bad):
        await agents.loop(seconds / 4)  # to warm up
    samples: list[list[Sample]] = [[], []]
    for _ in range(ROUNDS):
        for agents, found in zip((at_good, at_bad), samples, strict=True):
            found.append(await agents.loop(seconds))
    at_good.close()
    at_bad.close()
    return samples


def _compared(name: str, without: Sequence[Sample], with_it: Sequence[Sample]) -> list[Figure]:
    speeds = median_speed(without), median_speed(with_it)
    calm, bad = merged(without), merged(with_it)
    refused = bad.refused.total()
    return [
        Figure(f"{name}: assignments without", speeds[0], "/s"),
        Figure(f"{name}: assignments with", speeds[1], "/s"),
        Figure(f"{name}: without to with", ratio(*speeds), "", at_most=WITHIN),
        Figure(f"{name}: p99 without", calm.ms(99), "ms"),
        Figure(f"{name}: p99 with", bad.ms(99), "ms"),
        Figure(f"{name}: p99, with to without", ratio(bad.ms(99), calm.ms(99)), at_most=WITHIN),
        Figure(f"{name}: refused", refused, "", at_most=0),
    ]
