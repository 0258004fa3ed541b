"""Queues and jobs as a replay has them: each with the agents in or below it, counted as it goes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.policy.states import TaskState, after_failure

Fields = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Node:
    """`settings` has the maximum and the parent's id as far as they are known."""

    name: str
    settings: dict[str, Any]
    parent: "Node | None" = None
    assigned: int = 0

    @property
    def full(self) -> bool:
        maximum = self.settings.get("maximum_agents")
        return maximum is not None and self.assigned >= maximum

    @property
    def known(self) -> bool:
        """Whether the maximum that is in force, and where it hangs, are known."""
        return "maximum_agents" in self.settings and "parent" in self.settings


class Marks:
    """A set of ordinals, a bit each; once all of `total` are in it, none."""

    __slots__ = ("_bits", "_count", "_whole")

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0
        self._whole = False

    def __contains__(self, ordinal: int) -> bool:
        at = ordinal >> 3
        return self._whole or (at < len(self._bits) and bool(self._bits[at] >> (ordinal & 7) & 1))

    def __len__(self) -> int:
        return self._count

    def add(self, ordinal: int, total: int | None) -> None:
        if ordinal in self:
            return
        at = ordinal >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits)))
        self._bits[at] |= 1 << (ordinal & 7)
        self._count += 1
        if self._count == total:
            self._bits, self._whole = bytearray(), True


@dataclass(slots=True, eq=False)
class JobNode(Node):
    """A job, with the ordinals that run and those that ended, as far as the history tells."""

    running: set[int] = field(default_factory=set)
    done: Marks = field(default_factory=Marks)
    failed: set[int] = field(default_factory=set)
    failures: dict[int, int] = field(default_factory=dict)

    def ended(self, ordinal: int) -> bool:
        return ordinal in self.failed or ordinal in self.done

    def fail(self, ordinal: int) -> None:
        """It waits again, unless it failed too often."""
        requeue = self.settings.get("requeue")
        if requeue is None:
            return
        self.failures[ordinal] = self.failures.get(ordinal, 0) + 1
        if after_failure(self.failures[ordinal], requeue) is TaskState.FAILED:
            self.failed.add(ordinal)

    def rerun(self) -> None:
        self.done = Marks()
        self.rerun_failed()
        self.failures.clear()

    def rerun_failed(self) -> None:
        for ordinal in self.failed:
            self.failures.pop(ordinal, None)  # one that was set aside may have none
        self.failed.clear()


class Circle(Exception):
    """A node would hang below itself."""


class Tree:
    """All nodes; one that was never told of is under the root, with nothing known of it."""

    def __init__(self) -> None:
        self.queues: dict[int, Node] = {}
        self.jobs: dict[int, JobNode] = {}

    def queue(self, queue_id: int) -> Node:
        if queue_id not in self.queues:
            self.queues[queue_id] = Node(f"queue {queue_id}", {})
        return self.queues[queue_id]

    def job(self, job_id: int) -> JobNode:
        if job_id not in self.jobs:
            self.jobs[job_id] = JobNode(f"job {job_id}", {})
        return self.jobs[job_id]

    def set(self, node: Node, fields: Fields, place: str) -> None:
        """Let the node have these of its fields; `place` is the one that names its queue.

        With all agents in or below it, it hangs where that says. Raises `Circle` where that is
        below itself.
        """
        for name in ("maximum_agents", "tasks_total", "requeue"):
            if name in fields:
                node.settings[name] = fields[name]
        if place in fields:
            node.settings["parent"] = fields[place]
            self._move(node, None if fields[place] is None else self.queue(fields[place]))

    def _move(self, node: Node, parent: Node | None) -> None:
        if any(at is node for at in path(parent)):
            raise Circle
        for at in path(node.parent):
            at.assigned -= node.assigned
        node.parent = parent
        for at in path(parent):
            at.assigned += node.assigned


def path(node: Node | None) -> Iterator[Node]:
    """The node and all above it."""
    while node is not None:
        yield node
        node = node.parent


def count(node: Node, agents: int) -> None:
    """So many agents more, or less, work in or below the node."""
    for at in path(node):
        at.assigned += agents
