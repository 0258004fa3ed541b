"""What each queue is entitled to now, for whoever looks at the tree: known for a second or longer.

It is computed in the process that makes plans, and that no more than a part of the time: however
many look, and however large the farm is, the agents are served.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

import structlog

from app.errors import AppError
from app.plan.workshop import Workshop

log = structlog.get_logger()

FRESH_SECONDS = 1
# Of the time, it is computed for one part in so many.
SPARING = 8
# Figures are shown for so long after they should be new; who finds none waits for them.
LATE_SECONDS = 10
PATIENCE_SECONDS = 5


@dataclass(slots=True, eq=False)
class Entitlements:
    """The figures of this process."""

    workshop: Workshop
    _known: Mapping[int, int] = field(default_factory=dict)
    _until: float = float("-inf")
    _work: asyncio.Task[None] | None = None

    async def now(self) -> Mapping[int, int]:
        """Agents by the id of a queue, the root by 0; empty where nothing is known."""
        if monotonic() >= self._until:
            if self._work is None or self._work.done():
                self._work = asyncio.create_task(self._look(), name="entitlements")
            if self._late:
                await asyncio.wait([self._work], timeout=PATIENCE_SECONDS)
        return {} if self._late else self._known

    @property
    def _late(self) -> bool:
        return monotonic() >= self._until + LATE_SECONDS

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _look(self) -> None:
        began = monotonic()
        try:
            self._known = await self.workshop.shares()
        except (AppError, RuntimeError) as failed:
            self._known = {}
            log.warning("entitlements_failed", error=str(failed))
        took = monotonic() - began
        self._until = monotonic() + max(FRESH_SECONDS, took * SPARING)
