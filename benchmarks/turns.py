"""The loop of 64 agents by turns without and with something beside it.

Once at full speed, where both cores are busy and whatever else is done takes from the agents; once
with so much rest between work and the next poll that 500 assignments are made a second: what is
slower then was made to wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from benchmarks.agents import Agents, Sample
from benchmarks.figures import Figure, ratio
from benchmarks.scale import median_speed, merged

AGENTS = 64
ROUNDS = 3
PACED = 500  # assignments a second

# What goes on beside the loop, until that is done.
Happens = Callable[["asyncio.Task[Sample]"], Awaitable[None]]


@dataclass(frozen=True)
class Turns:
    """What the agents saw in the rounds without, and in those with what happened beside them."""

    without: list[Sample]
    with_it: list[Sample]

    def figures(self, name: str, *, within: float | None = None) -> list[Figure]:
        """`within`: how many times as long p99 may be."""
        calm, busy = merged(self.without), merged(self.with_it)
        speeds = median_speed(self.without), median_speed(self.with_it)
        p99 = ratio(busy.ms(99), calm.ms(99))
        return [
            Figure(f"{name}: loop without", speeds[0], "/s"),
            Figure(f"{name}: loop with", speeds[1], "/s"),
            Figure(f"{name}: loop, without to with", ratio(*speeds)),
            Figure(f"{name}: p99 without", calm.ms(99), "ms"),
            Figure(f"{name}: p99 with", busy.ms(99), "ms"),
            Figure(f"{name}: p99, with to without", p99, at_most=within),
            Figure(f"{name}: longest wait without", calm.ms(100), "ms"),
            Figure(f"{name}: longest wait with", busy.ms(100), "ms"),
            Figure(f"{name}: refused", busy.refused.total(), "", at_most=0),
        ]


async def at_full_speed(
    url: str, agent_ids: Sequence[str], seconds: float, happens: Happens
) -> Turns:
    return await _by_turns(await Agents.connect([url], agent_ids), seconds, happens)


async def paced(url: str, agent_ids: Sequence[str], seconds: float, happens: Happens) -> Turns:
    agents = await Agents.connect([url], agent_ids, rest=len(agent_ids) / PACED)
    return await _by_turns(agents, seconds, happens)


async def _by_turns(agents: Agents, seconds: float, happens: Happens) -> Turns:
    turns = Turns([], [])
    await agents.loop(seconds / 2)  # to warm up
    for _ in range(ROUNDS):
        turns.without.append(await agents.loop(seconds))
        looping = asyncio.create_task(agents.loop(seconds))
        await happens(looping)
        turns.with_it.append(await looping)
    agents.close()
    return turns
