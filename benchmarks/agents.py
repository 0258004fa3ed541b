"""Agents in a closed loop: each asks, reports what it got, asks again, at once or after a rest."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter, process_time
from typing import Self

import pydantic_core

from benchmarks.client import CONNECTING_AT_ONCE, Wire, head, request
from benchmarks.figures import percentile

ASSIGN = head("POST", "/assign")
IDLE_SECONDS = 0.05  # between two polls of an agent that got nothing


@dataclass
class Sample:
    """What a crowd of agents saw for a while: seconds of each poll that gave work, and the rest.

    `processor` is what this process, the client's, used meanwhile, in seconds.
    """

    seconds: float = 0.0
    processor: float = 0.0
    latencies: list[float] = field(default_factory=list)
    idle: int = 0
    refused: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def ms(self, percent: float) -> float | None:
        return percentile(self.latencies, percent, scale=1_000)


@dataclass(slots=True)
class _Turn:
    """One run of the crowd: until when, and how many agents are still at it."""

    until: float
    to_the_end: bool
    left: int
    over: asyncio.Future[None]
    sample: Sample = field(default_factory=Sample)

    def leave(self) -> None:
        self.left -= 1
        if not self.left and not self.over.done():
            self.over.set_result(None)


class _Agent:
    def __init__(self, agent_id: str, said: str, pause: float, rest: float) -> None:
        self.turn: _Turn | None = None
        self.wire = Wire(self._answered, self._lost)
        self._id = agent_id.encode()
        self._said = said.encode()
        self._pause = pause
        self._rest = rest
        self._poll = request(ASSIGN, b'{"agent_id":"%b"}' % self._id)
        self._next = self._poll
        self._asked = 0.0

    async def connect(self, url: str, number: int) -> None:
        self.wire.close()
        self.wire = Wire(self._answered, self._lost)
        await self.wire.connect(url, number)

    def ask(self) -> None:
        self._asked = perf_counter()
        self.wire.transport.write(self._next)

    def _answered(self, status: int, content: bytes) -> None:
        now = perf_counter()
        turn = self.turn
        assert turn is not None  # it answers what was asked in a turn
        if status == HTTPStatus.OK:
            turn.sample.latencies.append(now - self._asked)
            self._next = self._report(content)
        else:
            self._got_nothing(status, turn.sample)
        if now >= turn.until or (turn.to_the_end and status == HTTPStatus.NO_CONTENT):
            self.turn = None
            turn.leave()
        elif rest := self._rest if status == HTTPStatus.OK else self._pause:
            some = rest * random.uniform(0.5, 1.5)  # noqa: S311  # or all would come at once
            asyncio.get_running_loop().call_later(some, self.ask)
        else:
            self.ask()

    def _report(self, content: bytes) -> bytes:
        """The next poll: it reports what this answer gave."""
        told = pydantic_core.from_json(content)
        results = b",".join(
            b'{"task_id":%d,"state":"%b"}' % (task["id"], self._said) for task in told["tasks"]
        )
        body = b'{"agent_id":"%b","assignment_id":%d,"results":[%b]}'
        return request(ASSIGN, body % (self._id, told["id"], results))

    def _got_nothing(self, status: int, sample: Sample) -> None:
        """After a failure of the service's own the same report goes out again."""
        if status == HTTPStatus.NO_CONTENT:
            sample.idle += 1
        else:
            sample.refused[status] += 1
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._next = self._poll

    def _lost(self, error: Exception) -> None:
        if self.turn is not None and not self.turn.over.done():
            self.turn.over.set_exception(error)


class Agents:
    """A crowd, each over a connection of its own; between two runs they keep what they hold."""

    def __init__(self, urls: Sequence[str], agents: Sequence[_Agent]) -> None:
        self._urls = urls
        self._agents = agents

    @classmethod
    async def connect(
        cls,
        urls: Sequence[str],
        agent_ids: Sequence[str],
        said: str = "done",
        pause: float = IDLE_SECONDS,
        rest: float = 0,
    ) -> Self:
        """Spread the agents over the services; `said` is what they report of every task.

        They `pause` after nothing, and `rest` after work, for about so many seconds.
        """
        crowd = cls(urls, [_Agent(agent_id, said, pause, rest) for agent_id in agent_ids])
        await crowd.reconnect()
        return crowd

    async def loop(self, seconds: float, *, to_the_end: bool = False) -> Sample:
        """Loop for so many seconds, or, `to_the_end`, until nothing is left for any agent.

        With 0 seconds each asks once, all at the same time.
        """
        await self.reconnect()
        started, used = perf_counter(), process_time()
        over = asyncio.get_running_loop().create_future()
        turn = _Turn(started + seconds, to_the_end, len(self._agents), over)
        for agent in self._agents:
            agent.turn = turn
        for agent in self._agents:
            agent.ask()
        await over
        turn.sample.seconds = perf_counter() - started
        turn.sample.processor = process_time() - used
        return turn.sample

    async def reconnect(self) -> None:
        """Connect those that are not, or that were idle for long."""
        urls = self._urls
        stale = [(n, agent) for n, agent in enumerate(self._agents) if not agent.wire.fresh]
        for first in range(0, len(stale), CONNECTING_AT_ONCE):
            some = stale[first : first + CONNECTING_AT_ONCE]
            await asyncio.gather(*(agent.connect(urls[n % len(urls)], n) for n, agent in some))

    def close(self) -> None:
        for agent in self._agents:
            agent.wire.close()
