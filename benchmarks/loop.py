"""A closed loop of `POST /assign`, beside a route that does nothing, by turns in one run."""

import statistics

import uvloop

from benchmarks.agents import Agents, Sample
from benchmarks.bare import bare_service
from benchmarks.farm import SMALL, build
from benchmarks.figures import Figure, spread
from benchmarks.stage import Stage

CROWDS = [64, 256]
ROUNDS = 3


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(build(database, SMALL, max(CROWDS)))
    figures: list[Figure] = []
    seconds = stage.options.length(4)
    with stage.service(database) as service, bare_service() as bare:
        for crowd in CROWDS:
            ours, nothing = uvloop.run(_by_turns([service.url, bare], agent_ids[:crowd], seconds))
            figures += _figures(crowd, ours, nothing)
    return figures


async def _by_turns(urls: list[str], agent_ids: list[str], seconds: float) -> list[list[Sample]]:
    """The same agents at each of the services in turn; the samples of each."""
    crowds = [await Agents.connect([url], agent_ids) for url in urls]
    for crowd in crowds:
        await crowd.loop(seconds / 4)  # to warm up
    samples: list[list[Sample]] = [[] for _ in urls]
    for _ in range(ROUNDS):
        for crowd, found in zip(crowds, samples, strict=True):
            found.append(await crowd.loop(seconds))
    for crowd in crowds:
        crowd.close()
    return samples


def _figures(crowd: int, ours: list[Sample], nothing: list[Sample]) -> list[Figure]:
    speeds = [sample.per_second for sample in ours]
    bare = [sample.per_second for sample in nothing]
    median, of_bare = statistics.median(speeds), statistics.median(bare)
    every = Sample(latencies=[seconds for sample in ours for seconds in sample.latencies])
    refused = sum(sample.refused.total() for sample in ours)
    of = f"{crowd} agents"
    return [
        Figure(f"{of}: assignments", median, "/s"),
        Figure(f"{of}: route that does nothing", of_bare, "/s"),
        Figure(f"{of}: ratio", median / of_bare, "", at_least=0.7, aim=1.0),
        Figure(f"{of}: p50", every.ms(50), "ms"),
        Figure(f"{of}: p99", every.ms(99), "ms"),
        Figure(f"{of}: each round", speeds, "/s"),
        Figure(f"{of}: spread of the rounds", spread(speeds), "%"),
        Figure(f"{of}: spread of the other's", spread(bare), "%"),
        Figure(f"{of}: processor of the client", _cost(nothing), "µs a request"),
        Figure(f"{of}: refused", refused, "", at_most=0),
    ]


def _cost(samples: list[Sample]) -> float:
    """Microseconds of processor time that one request costs on the client's side."""
    requests = sum(len(sample.latencies) for sample in samples)
    return sum(sample.processor for sample in samples) / requests * 1_000_000
