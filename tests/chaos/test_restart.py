"""A service is replaced under many agents, which use the reference agent's own patience."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from farmqueue.agent.patience import patiently
from farmqueue.client import AsyncClient
from farmqueue.model import Assignment
from tests.chaos import invariants
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import finish
from tests.tokens import ADMIN_TOKEN

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

AGENTS = int(os.environ.get("FARMQUEUE_CHAOS_AGENTS") or 2_000)
BACK_SECONDS = 30
WINDOW = 0.5  # seconds, in which at most this share of them may come:
SHARE = 0.4
AT_ONCE = 5  # registrations: each has a connection, and waits for those before it
ONE_CLIENT = 100  # a client looks through all of its connections for each call


@dataclass
class Crowd:
    """Idle agents that poll; when each poll was sent."""

    came: list[float] = field(default_factory=list)

    async def ask(self, http: AsyncClient, agent: str) -> Assignment | None:
        self.came.append(time.monotonic())
        return await http.assign(agent, wait=60)

    async def live(self, http: AsyncClient, agent: str) -> None:
        while True:
            await patiently(partial(self.ask, http, agent), _silent)

    def most_within(self, seconds: float) -> int:
        """The most that came within so long."""
        came = sorted(self.came)
        return max(sum(at <= other < at + seconds for other in came) for at in came)


def _silent(*_: Any, **__: Any) -> None:
    pass


async def enlist_many(on: Stage, number: int) -> list[str]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(at: int) -> str:
        async with turn:
            return str((await on.farm.agent(f"a{at}"))["id"])

    return await asyncio.gather(*(one(at) for at in range(number)))


async def all_wait(on: Stage, number: int) -> None:
    while await on.metric(on.replicas[0], "farmqueue_waiting_polls") < number:
        await asyncio.sleep(0.1)


@pytest.mark.usefixtures("many_files")
async def test_after_a_restart_every_agent_is_back_and_they_do_not_come_all_at_once(
    stage: Maker,
) -> None:
    async with stage(replicas=1, lease_seconds=60, lock_timeout_seconds=30) as on:
        ids = await enlist_many(on, AGENTS)
        [only] = on.replicas
        async with AsyncExitStack() as stack:
            crowd = Crowd()
            lives: list[asyncio.Task[None]] = []
            for first in range(0, AGENTS, ONE_CLIENT):
                http = await stack.enter_async_context(AsyncClient(only.url, token=ADMIN_TOKEN))
                some = ids[first : first + ONE_CLIENT]
                lives += [asyncio.create_task(crowd.live(http, agent)) for agent in some]
                await all_wait(on, len(lives))
            crowd.came.clear()
            assert await only.end() == 0
            await only.start()
            async with asyncio.timeout(BACK_SECONDS):
                await all_wait(on, AGENTS)
            assert len(crowd.came) >= AGENTS
            assert crowd.most_within(WINDOW) < SHARE * AGENTS
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
        await on.farm.job("shot", tasks=20)
        await finish(on, ids[:10])
        await invariants.hold(on)
