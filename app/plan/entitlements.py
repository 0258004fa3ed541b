"""What each queue is entitled to now, for whoever looks at the tree.

Nobody waits for it. Of a farm of few nodes it is told at once, from the kept farm. Of others it is
computed in the process that makes plans, and that no more than a part of the time: however many
look, and however large the farm is, the agents are served; until it is known the latest is shown.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog

from app.errors import AppError
from app.plan.workshop import Workshop
from app.policy.entitled import entitled
from app.policy.states import Mode
from app.policy.tree import Queue
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm

log = structlog.get_logger()

# Queues and jobs that are looked through in a millisecond or two.
FEW = 300

# What columns of a queue's row are called in the policy, where otherwise.
_ATTRIBUTES = {"minimum_agents": "minimum", "maximum_agents": "maximum"}

FRESH_SECONDS = 1
# Of the time, it is computed for one part in so many.
SPARING = 8


@dataclass(slots=True, eq=False)
class Entitlements:
    """The figures of this process; `latest` is another object only where they are others."""

    desk: Desk
    workshop: Workshop
    latest: Mapping[int, int] = field(default_factory=dict)
    _next: float = float("-inf")
    _work: asyncio.Task[None] | None = None

    def now(self) -> Mapping[int, int]:
        """Agents by the id of a queue, the root by 0; empty where nothing is known yet."""
        kept = self.desk.kept
        if kept is not None and self._few(kept):
            self._take(_of(kept))
        elif monotonic() >= self._next and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(self._look(), name="entitlements")
        return self.latest

    async def tried(
        self, queue_id: int, settings: Mapping[str, Any]
    ) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """The same now, and as if a queue had these settings (columns of its row)."""
        kept = self.desk.kept
        if kept is not None and self._few(kept):
            before = _of(kept)
            with _with(kept.queues[queue_id], settings):
                return before, _of(kept)
        return await self.workshop.tried(queue_id, settings)

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    @staticmethod
    def _few(kept: KeptFarm) -> bool:
        return len(kept.queues) + len(kept.jobs) <= FEW

    async def _look(self) -> None:
        began = monotonic()
        try:
            self._take(await self.workshop.shares())
        except (AppError, RuntimeError) as failed:
            self._take({})
            log.warning("entitlements_failed", error=str(failed))
        took = monotonic() - began
        self._next = monotonic() + max(FRESH_SECONDS, took * SPARING)

    def _take(self, found: Mapping[int, int]) -> None:
        if found != self.latest:
            self.latest = found


@contextmanager
def _with(queue: Queue, settings: Mapping[str, Any]) -> Iterator[None]:
    """The queue with these settings; nothing of the farm is asked to notice."""
    own = {name: getattr(queue, _ATTRIBUTES.get(name, name)) for name in settings}
    try:
        for name, value in settings.items():
            setattr(queue, _ATTRIBUTES.get(name, name), value)
        yield
    finally:
        for name, value in own.items():
            setattr(queue, _ATTRIBUTES.get(name, name), value)


def _of(kept: KeptFarm) -> Mapping[int, int]:
    agents = sum(one.online and one.mode == Mode.ENABLED for one in kept.agents.values())
    shares = entitled(kept.farm.root, agents)
    return {node.id: share for node, share in shares.items() if isinstance(node, Queue)}
