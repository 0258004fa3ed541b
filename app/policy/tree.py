"""The tree: queues and jobs, each with its place among its siblings and what is open below it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from app.policy.fit import Requirements
from app.policy.frames import parse
from app.policy.line import Key, Line
from app.policy.ordinals import Ordinals


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """A queue or a job; `assigned` counts the distinct agents in or below it.

    `key` and `standing` are kept by the farm: the node's place in its parent's line, None while
    nothing is open in it, and the bits (see kinds) of what is.
    """

    id: int
    priority: int = 0
    weight: int = 10
    minimum: int | None = None
    maximum: int | None = None
    paused: bool = False
    assigned: int = 0
    parent: "Queue | None" = None
    key: Key | None = None
    standing: int = 0

    @property
    def full(self) -> bool:
        return self.maximum is not None and self.assigned >= self.maximum

    @property
    def below_minimum(self) -> bool:
        return self.minimum is not None and self.assigned < self.minimum


@dataclass(slots=True, eq=False, kw_only=True)
class Queue(Node):
    """`line` has those of the children in which something is open."""

    prefer_running_jobs: bool = False
    children: "set[Queue | Job]" = field(default_factory=set)
    line: "Line[Queue | Job]" = field(default_factory=Line)

    def add(self, child: "Queue | Job") -> None:
        """Before the farm is made of the tree; afterwards `Farm.hang` does it."""
        child.parent = self
        self.children.add(child)


@dataclass(slots=True, eq=False, kw_only=True)
class Job(Node):
    """A job with its waiting tasks; `failed_by` names the agents that failed one of them.

    `frames` is text as `policy.frames` reads it; `kind` is the open bit of its requirements.
    """

    frames: str
    waiting: Ordinals
    num_tiles: int = 1
    by: Decimal = Decimal(1)
    batch: int = 1
    batch_contiguous: bool = True
    parents_done: bool = True
    requirements: Requirements = field(default_factory=Requirements)
    failed_by: dict[int, frozenset[UUID]] = field(default_factory=dict)
    kind: int = 0

    def frame(self, ordinal: int) -> Decimal:
        return parse(self.frames)[ordinal // self.num_tiles]


def path(node: Queue | Job) -> Iterator[Queue | Job]:
    """The node and all above it, the root last."""
    at: Queue | Job | None = node
    while at is not None:
        yield at
        at = at.parent
