"""The pulse of the farm: heartbeats that came meanwhile are served together.

A sign of life needs no farm lock. A row that somebody else holds at that moment, an agent that was
offline, or one that is not there, is left to a second step, which has the lock; a transaction that
held rows and waited for the lock would meet a cycle that has it and waits for the rows.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import metrics
from app.agents import store
from app.agents.schemas import Heartbeat, HeartbeatAnswer
from app.caller import Caller, token_ended
from app.db.engine import lock_farm
from app.db.failures import clashed
from app.history.store import record_all
from app.policy.states import agent_state
from app.scheduler.polls import give
from app.scheduler.refusals import AgentNotFound
from app.settings import Settings
from app.tokens import store as tokens
from app.turns import Turns

# At once: more would keep those that come next waiting.
MOST = 1_000

Live = Callable[[AsyncConnection, store.Beats, float], Awaitable[Sequence[RowMapping]]]


@dataclass(slots=True, eq=False)
class Beat:
    agent_id: UUID
    asked: Heartbeat
    caller: Caller
    answer: asyncio.Future[HeartbeatAnswer]


@dataclass(slots=True, eq=False)
class Pulse:
    """Heartbeats of one process."""

    engine: AsyncEngine
    settings: Settings
    turns: Turns
    _beats: list[Beat] = field(default_factory=list)
    _server: asyncio.Task[None] | None = None

    async def beat(self, agent_id: UUID, asked: Heartbeat, caller: Caller) -> HeartbeatAnswer:
        """Renew the agent's lease, and say what to stop. `AgentNotFound`: register it again."""
        beat = Beat(agent_id, asked, caller, asyncio.get_running_loop().create_future())
        self._beats.append(beat)
        if self._server is None:
            self._server = asyncio.create_task(self._serve_all(), name="pulse")
        return await beat.answer

    async def _serve_all(self) -> None:
        """As long as there are any; not within the call of a client, which may go away."""
        try:
            while self._beats:
                await self._serve(self._take())
        finally:
            self._server = None

    def _take(self) -> list[Beat]:
        """The next beats, one an agent."""
        taken: dict[UUID, Beat] = {}
        later: list[Beat] = []
        for beat in self._beats:
            if len(taken) < MOST and beat.agent_id not in taken:
                taken[beat.agent_id] = beat
            else:
                later.append(beat)
        self._beats = later
        return list(taken.values())

    async def _serve(self, beats: list[Beat]) -> None:
        """Renew what can be renewed at once; then, holding no row, the rest with the farm lock."""
        metrics.HEARTBEATS.observe(len(beats))
        rest = await self._step(beats, store.renew, lock=False)
        if rest:
            await self._refuse(await self._step(rest, store.come_online, lock=True))

    async def _refuse(self, beats: list[Beat]) -> None:
        """Those that have no lease by both: their token is not valid, or they are not there."""
        named = [beat.caller.token_id for beat in beats if beat.caller.token_id is not None]
        ended: set[int] = set()
        if named:
            try:
                async with (
                    asyncio.timeout(self.settings.silent_seconds),
                    self.engine.connect() as connection,
                ):
                    ended = await tokens.ended(connection, named)
            except Exception as failed:  # noqa: BLE001  # whatever it is, each must hear of it
                for beat in beats:
                    give(beat.answer, failed)
        for beat in beats:
            refusal = token_ended() if beat.caller.token_id in ended else None
            give(beat.answer, refusal or AgentNotFound.of(beat.agent_id))

    async def _step(
        self, beats: list[Beat], live: Live, *, lock: bool, again: bool = True
    ) -> list[Beat]:
        """Answer the agents that have a lease by this; those that have none are left."""
        leases: dict[UUID, RowMapping] = {}
        stop: dict[UUID, list[int]] = defaultdict(list)
        try:
            async with (
                asyncio.timeout(self.settings.silent_seconds),
                self.engine.begin() as connection,
            ):
                if lock:
                    await lock_farm(connection)
                rows = await live(connection, _signs(beats), self.settings.lease_seconds)
                leases = {row["id"]: row for row in rows}
                await record_all(connection, _returned(beats, leases))
                reported = [(beat.agent_id, beat.asked.assignment_id) for beat in beats]
                for row in await store.to_stop(connection, reported):
                    stop[row["agent_id"]].append(row["id"])
        except Exception as failed:  # noqa: BLE001  # whatever it is, each call must hear of it
            if clashed(failed) and again:
                return await self._step(beats, live, lock=lock, again=False)
            for beat in beats:
                give(beat.answer, failed)
            return []
        for beat in beats:
            if beat.agent_id in leases:
                answer = self._answer(leases[beat.agent_id], stop[beat.agent_id])
                self.turns.leave(partial(give, beat.answer, answer))
        return [beat for beat in beats if beat.agent_id not in leases]

    def _answer(self, lease: RowMapping, stop: list[int]) -> HeartbeatAnswer:
        return HeartbeatAnswer(
            lease_seconds=self.settings.lease_seconds,
            heartbeat_seconds=self.settings.heartbeat_seconds,
            lease_expires_at=lease["lease_expires_at"],
            state=agent_state(lease["mode"], online=lease["online"]),
            stop=stop,
        )


def _signs(beats: Sequence[Beat]) -> store.Beats:
    return [store.Sign(beat.agent_id, beat.asked.free_ram, beat.caller.token_id) for beat in beats]


def _returned(beats: Sequence[Beat], leases: Mapping[UUID, RowMapping]) -> list[dict[str, Any]]:
    """For the history: agents that had no lease before."""
    return [
        {"actor": beat.caller.actor, "action": "agent.returned", "agent_id": beat.agent_id}
        for beat in beats
        if beat.agent_id in leases and leases[beat.agent_id]["returned"]
    ]
