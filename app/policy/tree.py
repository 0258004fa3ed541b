"""The farm as a decision sees it: queues and jobs, with how many agents each has."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from app.policy.fit import Agent, Requirements
from app.policy.frames import Frames
from app.policy.ordinals import Ordinals


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """A queue or a job; `assigned` counts the distinct agents in or below it."""

    id: int
    priority: int = 0
    weight: int = 10
    minimum: int | None = None
    maximum: int | None = None
    paused: bool = False
    assigned: int = 0
    parent: "Queue | None" = None

    @property
    def full(self) -> bool:
        return self.maximum is not None and self.assigned >= self.maximum

    @property
    def below_minimum(self) -> bool:
        return self.minimum is not None and self.assigned < self.minimum


@dataclass(slots=True, eq=False, kw_only=True)
class Queue(Node):
    prefer_running_jobs: bool = False
    children: list["Queue | Job"] = field(default_factory=list)

    def add(self, child: "Queue | Job") -> None:
        child.parent = self
        self.children.append(child)


@dataclass(slots=True, eq=False, kw_only=True)
class Job(Node):
    """A job with its waiting tasks; `failed_by` names the agents that failed one of them."""

    frames: Frames
    waiting: Ordinals
    num_tiles: int = 1
    by: Decimal = Decimal(1)
    batch: int = 1
    batch_contiguous: bool = True
    parents_done: bool = True
    requirements: Requirements = field(default_factory=Requirements)
    failed_by: Mapping[int, frozenset[UUID]] = field(default_factory=dict)

    def frame(self, ordinal: int) -> Decimal:
        return self.frames[ordinal // self.num_tiles]


@dataclass(slots=True, eq=False)
class Farm:
    """The tree below the root, which has no limits, and the agents that are online."""

    root: Queue
    online: tuple[Agent, ...] = ()


def path(node: "Queue | Job") -> Iterator["Queue | Job"]:
    """The node and all above it, the root last."""
    at: Queue | Job | None = node
    while at is not None:
        yield at
        at = at.parent
