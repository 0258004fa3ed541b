"""The loop of 64 agents by turns: alone, beside one that only counts, beside what is measured.

Once at full speed, where both cores are busy and whatever else is done takes from the agents; once
with so much rest between work and the next poll that some 500 assignments are made a second. Who
uses a core that was idle slows the other one a little on most machines, however nice it is: the
process that counts, as nice as those of the service's own, shows how much. What is slower than
beside it was made to wait.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.agents import Agents, Sample
from benchmarks.figures import Figure, ratio
from benchmarks.scale import median_speed, merged

AGENTS = 64
ROUNDS = 3
PACED = 500  # assignments a second

# What goes on beside the loop, until that is done.
Happens = Callable[["asyncio.Task[Sample]"], Awaitable[None]]

COUNT = """
from app.simulation.confined import NICE, give_way
give_way(NICE)
while True:
    sum(range(10_000))
"""


@dataclass(frozen=True)
class Turns:
    """What the agents saw in the rounds of each sort."""

    alone: list[Sample] = field(default_factory=list)
    counting: list[Sample] = field(default_factory=list)
    beside: list[Sample] = field(default_factory=list)

    def figures(self, name: str, *, within: float | None = None) -> list[Figure]:
        """`within`: how many times as long p99 may be as beside the process that counts."""
        alone, counting, beside = (
            merged(samples) for samples in (self.alone, self.counting, self.beside)
        )
        p99 = beside.ms(99)
        return [
            Figure(f"{name}: loop alone", median_speed(self.alone), "/s"),
            Figure(f"{name}: loop beside counting", median_speed(self.counting), "/s"),
            Figure(f"{name}: loop beside it", median_speed(self.beside), "/s"),
            Figure(f"{name}: p99 alone", alone.ms(99), "ms"),
            Figure(f"{name}: p99 beside counting", counting.ms(99), "ms"),
            Figure(f"{name}: p99 beside it", p99, "ms"),
            Figure(f"{name}: p99, to alone", ratio(p99, alone.ms(99))),
            Figure(f"{name}: p99, to counting", ratio(p99, counting.ms(99)), at_most=within),
            Figure(f"{name}: longest wait alone", alone.ms(100), "ms"),
            Figure(f"{name}: longest wait beside it", beside.ms(100), "ms"),
            Figure(f"{name}: refused", beside.refused.total(), "", at_most=0),
        ]


async def at_full_speed(
    url: str, agent_ids: Sequence[str], seconds: float, happens: Happens
) -> Turns:
    return await _by_turns(await Agents.connect([url], agent_ids), seconds, happens)


async def paced(url: str, agent_ids: Sequence[str], seconds: float, happens: Happens) -> Turns:
    agents = await Agents.connect([url], agent_ids, rest=len(agent_ids) / PACED)
    return await _by_turns(agents, seconds, happens)


async def _by_turns(agents: Agents, seconds: float, happens: Happens) -> Turns:
    turns = Turns()
    await agents.loop(seconds / 2)  # to warm up
    for _ in range(ROUNDS):
        turns.alone.append(await agents.loop(seconds))
        with counting():
            turns.counting.append(await agents.loop(seconds))
        looping = asyncio.create_task(agents.loop(seconds))
        await happens(looping)
        turns.beside.append(await looping)
    agents.close()
    return turns


@contextmanager
def counting() -> Iterator[None]:
    """A process that does nothing but use what is left of a processor."""
    argv = [sys.executable, "-c", COUNT]
    process = subprocess.Popen(argv, start_new_session=True)  # noqa: S603
    try:
        yield
    finally:
        process.kill()
        process.wait()
