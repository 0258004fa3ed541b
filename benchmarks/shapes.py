"""A closed loop on farms of three shapes, and one agent alone.

Queues and jobs are as many as the shape says. So that a shape lasts as long as it is measured, jobs
have as many tasks more as 10,000 assignments a second would use up.
"""

import math

import uvloop

from benchmarks.agents import Agents, Sample
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure
from benchmarks.stage import Stage

SHAPES = {
    "10 queues, 50 jobs": Shape(queues=10, jobs=50, tasks=20),
    "100 queues, 1,000 jobs": Shape(queues=100, jobs=1_000, tasks=20),
    "1,000 queues, 10,000 jobs": Shape(queues=1_000, jobs=10_000, tasks=10),
}
AGENTS = 64
MOST_PER_SECOND = 10_000


def run(stage: Stage) -> list[Figure]:
    seconds = stage.options.length(8)
    figures: list[Figure] = []
    for name, shape in SHAPES.items():
        enough = math.ceil(MOST_PER_SECOND * seconds * 2 / shape.jobs)
        lasting = Shape(shape.queues, shape.jobs, max(shape.tasks, enough))
        database = stage.database()
        agent_ids = uvloop.run(build(database, lasting, AGENTS))
        with stage.service(database) as service:
            if not figures:
                alone = uvloop.run(_loop(service.url, agent_ids[:1], seconds / 2))
                figures += _alone(alone)
            figures += _together(name, uvloop.run(_loop(service.url, agent_ids, seconds)))
    return figures


async def _loop(url: str, agent_ids: list[str], seconds: float) -> Sample:
    agents = await Agents.connect([url], agent_ids)
    await agents.loop(seconds / 8)  # to warm up
    sample = await agents.loop(seconds)
    agents.close()
    return sample


def _alone(sample: Sample) -> list[Figure]:
    return [
        Figure("one agent alone: assignments", sample.per_second, "/s"),
        Figure("one agent alone: p50", sample.ms(50), "ms", at_most=4),
        Figure("one agent alone: p99", sample.ms(99), "ms"),
    ]


def _together(name: str, sample: Sample) -> list[Figure]:
    return [
        Figure(f"{name}: assignments", sample.per_second, "/s", at_least=1_500, aim=3_000),
        Figure(f"{name}: p50", sample.ms(50), "ms"),
        Figure(f"{name}: p99", sample.ms(99), "ms"),
        Figure(f"{name}: refused", sample.refused.total(), "", at_most=0),
    ]
