"""Ways that are slow, narrow, or open on one side only: to the services and to the database."""

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.chaos import invariants
from tests.chaos.crew import Crew
from tests.chaos.proxy import Proxy
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_database import at_work

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

Fault = Callable[[Proxy, random.Random], None]


def slow(way: Proxy, chance: random.Random) -> None:
    way.delay = chance.uniform(0.05, 0.4)


def narrow(way: Proxy, chance: random.Random) -> None:
    """Connections break off after so many bytes, amid an answer."""
    way.limit = chance.randrange(200, 20_000)


def nothing_arrives(way: Proxy, _: random.Random) -> None:
    way.hole(down=False)


def nothing_comes_back(way: Proxy, _: random.Random) -> None:
    """What is asked is done, and nobody hears of it."""
    way.hole(up=False)


FAULTS: list[Fault] = [slow, narrow, nothing_arrives, nothing_comes_back]


async def strike(on: Stage, working: Crew, fault: Fault, side: str) -> None:
    """Hinder one way for a moment, in which something is lost or held up on it."""
    for agent in working.agents:
        agent.at = on.chance.randrange(len(on.replicas))  # or all had left that door by now
    way: Proxy = getattr(on.chance.choice(on.replicas), side)
    met = way.lost + way.hindered
    fault(way, on.chance)
    await asyncio.sleep(on.chance.uniform(0.5, 2.5))
    while way.lost + way.hindered == met:
        await asyncio.sleep(0.05)
    way.heal()


async def test_a_crew_lives_with_ways_that_are_slow_narrow_and_open_on_one_side(
    stage: Maker,
) -> None:
    async with stage() as on, at_work(on, effort=0.5, tasks=400) as working:
        strikes = [(fault, side) for fault in FAULTS for side in ("door", "database")]
        on.chance.shuffle(strikes)
        for fault, side in strikes:
            await asyncio.sleep(on.chance.uniform(0, 0.8))
            working.check()
            assert not await invariants.all_done(on)
            await strike(on, working, fault, side)
