"""The latest estimates of this process, kept up to date while somebody looks at jobs.

Nobody waits for them: a job that is read is looked up in what a process beside the service found
last. It is started again only while jobs were read within the last minute, and so rarely that it
takes no more than a small part of one core.
"""

import asyncio
from asyncio import sleep
from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from app.errors import AppError
from app.settings import Settings
from app.simulation.answers import Estimate, Spread
from app.simulation.forecast import ROW
from app.simulation.service import Simulations

log = structlog.get_logger()

FRESH_SECONDS = 30
# Of one processor they take one part in so many.
SPARING = 20
# So long after the last look they are kept fresh, and shown after the next ones were due.
WANTED_SECONDS = 60
# What one computation may take, on the clock; of a processor it plays for a part of that only.
MOST_SECONDS = 60

NOTHING: tuple[None, None] = (None, None)


class Latest:
    """What a process found, as it packed it (see `forecast`)."""

    def __init__(self, packed: bytes) -> None:
        self._values = memoryview(packed).cast("d")
        self._rows = range(1, len(self._values) // ROW)
        self._at = datetime.fromtimestamp(self._values[0], UTC)
        self.took: float = self._values[1]  # seconds of a processor

    def of(self, job_id: int) -> tuple[int | None, Estimate | None]:
        """The position and the estimate of a job, None where they are not known."""
        values, rows = self._values, self._rows
        found = bisect_left(rows, float(job_id), key=lambda row: values[row * ROW])
        if found == len(rows) or values[rows[found] * ROW] != job_id:
            return NOTHING
        first = rows[found] * ROW
        ahead = values[first + 1]
        start, finish = self._spread(first + 2), self._spread(first + 5)
        estimate = Estimate(as_of=self._at, start=start, finish=finish) if start or finish else None
        return (int(ahead) if _told(ahead) else None), estimate

    def _spread(self, first: int) -> Spread | None:
        if not _told(self._values[first]):
            return None
        p10, p50, p90 = (self._at + timedelta(seconds=one) for one in self._values[first:][:3])
        return Spread(p10=p10, p50=p50, p90=p90)


class Estimates:
    """Those of this process. They take none of the places of people's simulations."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._on = settings.estimates
        limits = {"simulate_at_once": 1, "simulate_seconds": MOST_SECONDS}
        self._processes = Simulations(settings.model_copy(update=limits), url)
        self._latest: Latest | None = None
        self._shown_until = self._wanted_until = self._next = float("-inf")
        self._work: asyncio.Task[None] | None = None

    def of(self, job_id: int) -> tuple[int | None, Estimate | None]:
        """Its position and estimate, as far as they are known now; and let them be kept fresh."""
        if not self._on:
            return NOTHING
        self._wanted_until = monotonic() + WANTED_SECONDS
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._keep(), name="estimates")
        if self._latest is None or monotonic() > self._shown_until:
            return NOTHING
        return self._latest.of(job_id)

    def stop(self) -> None:
        """End what runs, and let nothing begin."""
        self._on = False
        self._processes.close()

    async def close(self) -> None:
        self.stop()
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _keep(self) -> None:
        while self._on and monotonic() < self._wanted_until:
            await sleep(max(self._next - monotonic(), 0))
            if monotonic() < self._wanted_until:
                await self._look()

    async def _look(self) -> None:
        began = monotonic()
        found = None
        try:
            found = Latest(await self._processes.ask("estimates"))
        except (AppError, RuntimeError, ValueError) as failed:
            if self._on:
                log.warning("estimates_failed", error=str(failed))
        took = monotonic() - began if found is None else found.took
        self._next = monotonic() + max(FRESH_SECONDS, took * SPARING)
        if found is not None:
            self._latest, self._shown_until = found, self._next + WANTED_SECONDS


def _told(value: float) -> bool:
    return value == value  # noqa: PLR0124  # all numbers are equal to themselves
