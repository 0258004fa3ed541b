"""Simulated agents in one process, with a record of every call and of what was answered."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.clients import client

Json = dict[str, Any]


@dataclass
class Call:
    """One call; `status` is None where no answer came, and `broke` says how."""

    path: str
    body: Json
    status: int | None = None
    answer: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    broke: str = ""
    given_up: bool = False  # by the client itself, with no time left for an answer

    @property
    def accepted(self) -> bool:
        return self.status is not None and httpx.codes.is_success(self.status)


@dataclass
class Ledger:
    """What clients know: the service is held to it."""

    calls: list[Call] = field(default_factory=list)

    async def post(self, http: httpx.AsyncClient, path: str, body: Json, **headers: str) -> Call:
        call = Call(path, body)
        self.calls.append(call)
        try:
            response = await http.post(path, json=body, headers=headers)
        except httpx.TransportError as broke:
            call.broke = repr(broke)
            return call
        except asyncio.CancelledError:
            call.given_up = True
            raise
        call.status, call.headers = response.status_code, response.headers
        if response.content:
            call.answer = response.json()
        return call

    def statuses(self) -> set[int | None]:
        return {call.status for call in self.calls if not call.given_up}


@dataclass(eq=False)
class Agent:
    """Asks, works for a moment, reports: with the next poll or before it. Goes where it is heard.

    A frozen one does nothing, its heartbeats neither.
    """

    id: str
    doors: Sequence[httpx.AsyncClient]
    ledger: Ledger
    chance: random.Random
    effort: float
    wait: float = 1.0
    forgiving: bool = False  # where a failover loses what was not yet sent
    heartbeat: float = 1.0
    held: Json | None = None
    results: list[Json] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    at: int = 0
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self, over: asyncio.Event) -> None:
        self.thawed.set()
        beating = asyncio.create_task(self._beat())
        try:
            while not (over.is_set() and self.held is None):
                await self.thawed.wait()
                await self._turn()
        finally:
            beating.cancel()

    async def _turn(self) -> None:
        if self.held is None or self.results:
            await self._ask()
            return
        await asyncio.sleep(self.effort * self.chance.uniform(0.5, 1.5))
        await self.thawed.wait()
        state = "done" if self.chance.random() > 0.05 else "failed"
        self.results = [{"task_id": task["id"], "state": state} for task in self.held["tasks"]]
        if self.chance.random() < 0.4:
            await self._report()

    async def _ask(self) -> None:
        body: Json = {"agent_id": self.id, "wait": self.wait}
        if self.held is not None:
            body |= {"results": self.results, "assignment_id": self.held["id"]}
        call = await self._call("/assign", body)
        if call.status in {200, 204}:
            self.held, self.results = call.answer, []
        else:
            await self._refused(call)

    async def _report(self) -> None:
        assert self.held is not None
        path = f"/assignments/{self.held['id']}/results"
        call = await self._call(path, {"results": self.results})
        if call.accepted:
            self.held, self.results = None, []
        else:
            await self._refused(call)

    async def _refused(self, call: Call) -> None:
        """Drop what is another's; else try again, somewhere else."""
        if call.status == httpx.codes.CONFLICT or (
            self.forgiving and call.status == httpx.codes.NOT_FOUND
        ):
            if self.held is not None:
                self.dropped.append(self.held["id"])
            self.held, self.results = None, []
            return
        assert call.status is None or call.status == httpx.codes.SERVICE_UNAVAILABLE, call
        self.at += 1
        await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat * self.chance.uniform(0.8, 1))
            await self.thawed.wait()
            if self.held is not None:
                await self._call(f"/agents/{self.id}/heartbeat", {})

    async def _call(self, path: str, body: Json) -> Call:
        return await self.ledger.post(self.doors[self.at % len(self.doors)], path, body)


@dataclass
class Crew:
    agents: list[Agent]
    over: asyncio.Event
    lives: list[asyncio.Task[None]]

    async def finish(self) -> None:
        """Let each report what it holds, and end."""
        self.over.set()
        await asyncio.gather(*self.lives)

    def check(self) -> None:
        """Raise what went wrong with an agent, while others go on."""
        for life in self.lives:
            if life.done():
                life.result()


@asynccontextmanager
async def crew(
    ids: Sequence[str],
    urls: Sequence[str],
    ledger: Ledger,
    chance: random.Random,
    *,
    effort: float = 0.05,
    wait: float = 1.0,
    patience: float = 10,
    forgiving: bool = False,
) -> AsyncIterator[Crew]:
    """Agents at work, each first at one of the services in turn; with `patience` for an answer."""
    doors = [client(url, timeout=patience) for url in urls]
    over = asyncio.Event()
    agents = [
        Agent(
            *(id_, doors, ledger, random.Random(chance.random()), effort, wait, forgiving),
            at=number,
        )
        for number, id_ in enumerate(ids)
    ]
    lives = [asyncio.create_task(agent.live(over)) for agent in agents]
    try:
        yield Crew(agents, over, lives)
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        for door in doors:
            await door.aclose()
