"""A farm of 10,000 queues, 100,000 jobs, 1,000,000 tasks beside one of 10 queues and 100 jobs.

Both are made by the same rules, and looped by turns in one run. `start` is the time from a service
process's start to the first assignment answered on the large farm.
"""

import random
import statistics
from collections.abc import Sequence
from time import perf_counter

import psutil
import uvloop

from benchmarks.agents import Agents, Sample
from benchmarks.figures import Figure, ratio
from benchmarks.large_farm import LARGE, LITTLE, build_plan
from benchmarks.stage import Service, Stage

AGENTS = 64
ROUNDS = 2
SEED = 20_261_124
_MB = 2**20


def run(stage: Stage) -> list[Figure]:
    seconds = stage.options.length(8)
    chance = random.Random(SEED)  # noqa: S311  # the same sample each time
    large, little = stage.database(), stage.database()
    began = perf_counter()
    crowds = [uvloop.run(build_plan(large, LARGE)), uvloop.run(build_plan(little, LITTLE))]
    written = perf_counter() - began
    sampled = [chance.sample(crowd, AGENTS) for crowd in crowds]
    began = perf_counter()
    with stage.service(large) as on_large:
        uvloop.run(_first(on_large, sampled[0][:1]))
        start = perf_counter() - began
        with stage.service(little) as on_little:
            urls = [on_large.url, on_little.url]
            samples = uvloop.run(by_turns(urls, sampled, seconds, ROUNDS))
            memory = [psutil.Process(s.pid).memory_info().rss for s in (on_large, on_little)]
    return [
        *_compared(*samples),
        Figure("large: memory of the service", memory[0] / _MB, "MB"),
        Figure("small: memory of the service", memory[1] / _MB, "MB"),
        Figure("start on the large farm", start, "s", at_most=5),
        Figure("both farms written", written, "s"),
    ]


async def _first(service: Service, agent_ids: list[str]) -> None:
    """Let one agent have its first assignment."""
    agent = await Agents.connect([service.url], agent_ids)
    sample = Sample()
    while not sample.latencies:
        sample = await agent.loop(0)
    agent.close()


async def by_turns(
    urls: Sequence[str], crowds: Sequence[Sequence[str]], seconds: float, rounds: int
) -> list[list[Sample]]:
    """Each crowd at its service, one after the other, round after round; the samples of each."""
    agents = [await Agents.connect([url], crowd) for url, crowd in zip(urls, crowds, strict=True)]
    samples: list[list[Sample]] = [[] for _ in urls]
    for crowd in agents:
        await crowd.loop(seconds / 4)  # to warm up
    for _ in range(rounds):
        for crowd, found in zip(agents, samples, strict=True):
            found.append(await crowd.loop(seconds))
    for crowd in agents:
        crowd.close()
    return samples


def merged(samples: Sequence[Sample]) -> Sample:
    """Several rounds as one."""
    every = Sample(seconds=sum(sample.seconds for sample in samples))
    for sample in samples:
        every.latencies += sample.latencies
        every.idle += sample.idle
        every.refused += sample.refused
    return every


def median_speed(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.per_second for sample in samples)


def _compared(large: list[Sample], little: list[Sample]) -> list[Figure]:
    figures = []
    for name, samples in (("large", large), ("small", little)):
        every = merged(samples)
        figures += [
            Figure(f"{name}: assignments", median_speed(samples), "/s"),
            Figure(f"{name}: p50", every.ms(50), "ms"),
            Figure(f"{name}: p99", every.ms(99), "ms"),
            Figure(f"{name}: polls without work", every.idle),
            Figure(f"{name}: refused", every.refused.total(), "", at_most=0),
        ]
    slower = ratio(median_speed(little), median_speed(large))
    longer = ratio(merged(large).ms(50), merged(little).ms(50))
    return [
        *figures,
        Figure("assignments, small to large", slower, "", at_most=1.5),
        Figure("p50, large to small", longer, "", at_most=1.5),
    ]
