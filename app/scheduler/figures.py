"""What Prometheus is told of each queue, from the farm that the desk keeps.

Nothing is read from the database. A farm of thousands of queues is walked in parts, and between
them the process does what else it has to; so the figures are of about the same moment.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from app.policy.tree import Job, Queue, path
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm

# Looked at between two looks at what else the process has to do: a millisecond or two.
AT_A_TIME = 100
JOBS_AT_A_TIME = 500

# How often queues below their minimum are looked for.
LOOK_SECONDS = 5

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one queue."""

    label: str
    assigned: int
    minimum: int | None
    maximum: int | None
    waiting: int
    below: float


@dataclass(frozen=True, slots=True)
class Family:
    """A metric that each queue has, where it has a value."""

    name: str
    kind: str
    help: str
    attribute: str

    @property
    def head(self) -> str:
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"


FAMILIES = (
    Family("farmqueue_queue_assigned", "gauge", "Agents in or below the queue", "assigned"),
    Family("farmqueue_queue_minimum", "gauge", "Its minimum_agents, where set", "minimum"),
    Family("farmqueue_queue_maximum", "gauge", "Its maximum_agents, where set", "maximum"),
    Family("farmqueue_queue_waiting_tasks", "gauge", "Tasks that wait below it", "waiting"),
    Family(
        "farmqueue_queue_below_minimum_seconds_total",
        "counter",
        "How long it was below its minimum with work that waits, where it has one",
        "below",
    ),
)


@dataclass(slots=True, eq=False)
class QueueFigures:
    """The desk's queues in Prometheus's text format, and how long each was below its minimum."""

    desk: Desk
    _below: dict[int, float] = field(default_factory=dict)

    async def watch_for_ever(self) -> None:
        """Add up the time that queues are below their minimum."""
        last = monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = monotonic()
            await self.look(now - last)
            last = now

    async def look(self, seconds: float) -> None:
        """Whoever is below its minimum now, and has work that waits, was so for these seconds."""
        kept = self.desk.kept
        if kept is None:
            return
        for queue_id in self._below.keys() - kept.queues.keys():
            del self._below[queue_id]
        limited = [queue for queue in kept.queues.values() if queue.minimum is not None]
        async for queue in _unhurried(limited, AT_A_TIME):
            below = self._below.setdefault(queue.id, 0.0)
            if queue.below_minimum and _has_work(queue):
                self._below[queue.id] = below + seconds

    def below(self, queue_id: int) -> float:
        """Seconds that a queue was below its minimum, since this process looks."""
        return self._below.get(queue_id, 0.0)

    async def text(self) -> AsyncIterator[bytes]:
        """All families, in parts; of no queue while no farm is kept."""
        kept = self.desk.kept
        figures = [] if kept is None else [one async for one in self._figures(kept)]
        for family in FAMILIES:
            yield family.head.encode()
            for first in range(0, len(figures), AT_A_TIME):
                yield "".join(_lines(family, figures[first : first + AT_A_TIME])).encode()
                await asyncio.sleep(0)

    async def _figures(self, kept: KeptFarm) -> AsyncIterator[Figures]:
        waiting = await _waiting_below(kept)
        labels = {kept.farm.root: ""}
        async for queue in _unhurried(list(kept.queues.values()), AT_A_TIME):
            label = _label(kept, queue, labels)
            if label is None:
                continue  # deleted meanwhile
            yield Figures(
                label,
                queue.assigned,
                queue.minimum,
                queue.maximum,
                waiting.get(queue.id, 0),
                self._below.get(queue.id, 0.0),
            )


async def _waiting_below(kept: KeptFarm) -> dict[int, int]:
    """The waiting tasks in or below each queue that has any."""
    at: dict[Queue, int] = {}
    async for one in _unhurried(list(kept.jobs.values()), JOBS_AT_A_TIME):
        parent = one.job.parent
        if parent is not None and (waiting := len(one.job.waiting)):
            at[parent] = at.get(parent, 0) + waiting
    below: dict[int, int] = {}
    async for queue, waiting in _unhurried(list(at.items()), AT_A_TIME):
        for above in path(queue):
            below[above.id] = below.get(above.id, 0) + waiting
    return below


def _has_work(queue: Queue) -> bool:
    """Whether a task waits in or below it."""
    rest: list[Queue | Job] = [queue]
    while rest:
        at = rest.pop()
        if isinstance(at, Job):
            if at.waiting:
                return True
        else:
            rest.extend(at.children)
    return False


def _lines(family: Family, figures: Sequence[Figures]) -> Iterator[str]:
    for one in figures:
        value = getattr(one, family.attribute)
        if value is not None and (family.attribute != "below" or one.minimum is not None):
            yield f'{family.name}{{queue="{one.label}"}} {value}\n'


def _label(kept: KeptFarm, queue: Queue, labels: dict[Queue, str]) -> str | None:
    """The queue's fullpath, for a label; those of the queues above it are noted on the way."""
    chain: list[Queue] = []
    at: Queue | None = queue
    while at is not None and at not in labels:
        chain.append(at)
        at = at.parent
    if at is None:
        return None
    for below in reversed(chain):
        assert below.parent is not None
        labels[below] = f"{labels[below.parent]}/{_escaped(kept.names[below.id])}"
    return labels[queue]


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


async def _unhurried(every: Sequence[One], at_a_time: int) -> AsyncIterator[One]:
    for place, one in enumerate(every):
        if place % at_a_time == 0:
            await asyncio.sleep(0)
        yield one
