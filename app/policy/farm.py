"""The farm, kept as it changes: who is open, who is owed, and whose turn it is.

A node is *open* for an agent when it can use it now, and *owed* when it is open and it, or
something below it, has fewer agents than its minimum. Both are kept at each node for all kinds of
work at once; a change looks again at the nodes from where it happened up to the root, and at no
others.
"""

from collections.abc import Iterable
from uuid import UUID

from app.policy.fit import Agent
from app.policy.kinds import Kinds, owed
from app.policy.line import Key
from app.policy.tree import Job, Queue, path

# Two different shares a/w with weights up to 1,000,000 are at least 1/10¹² apart, so scaled by it
# and cut to whole numbers they still compare as the exact fractions do.
_SHARE_SCALE = 10**12


def turn(node: Queue | Job, parent: Queue) -> Key:
    """Sort key between the open children of one queue; the smallest goes first."""
    return turn_with(node, parent, node.assigned, begun=node.assigned > 0)


def turn_with(node: Queue | Job, parent: Queue, assigned: int, *, begun: bool) -> Key:
    """What the key is when the node has so many agents; `begun`: somebody works on it."""
    if parent.prefer_running_jobs and isinstance(node, Job) and not begun:
        return (-node.priority, True, node.id)  # the oldest first; none of the rules below
    weight = node.weight
    return (
        -node.priority,
        False,
        weight == 0,  # leftovers only
        assigned * _SHARE_SCALE // (weight or 1),  # agents per unit of weight
        -weight,
        isinstance(node, Queue),  # a job before a queue
        node.id,
    )


class Farm:
    """The tree below the root, which has no limits, and the agents that are online, by id."""

    def __init__(self, root: Queue, online: Iterable[Agent] = ()) -> None:
        self.root = root
        self.online: dict[UUID, Agent] = {agent.id: agent for agent in online}
        self.kinds = Kinds()
        self.queues: dict[int, Queue] = {}  # all but the root
        self._raise(root)

    @property
    def standing(self) -> int:
        """The bits of all that is open or owed anywhere."""
        return self.root.line.standing

    def hang(self, node: Queue | Job, parent: Queue) -> None:
        """Put a node below a queue, with all agents it has and, for one that was cut, all below it.

        A new queue comes alone; what belongs below it is hung there afterwards.
        """
        parent.add(node)
        if isinstance(node, Queue):
            self.queues[node.id] = node
        else:
            node.kind = self.kinds.join(node.requirements)
        self._place(node)
        self.count(parent, node.assigned)

    def cut(self, node: Queue | Job) -> None:
        """Take a node from its queue."""
        parent = node.parent
        assert parent is not None
        if node.key is not None:
            parent.line.remove(node)
        parent.children.remove(node)
        node.parent = None
        self.count(parent, -node.assigned)
        if isinstance(node, Queue):
            del self.queues[node.id]
        else:
            self.kinds.leave(node.requirements)

    def count(self, node: Queue | Job, agents: int) -> None:
        """So many agents more, or less, work in or below the node."""
        for at in path(node):
            at.assigned += agents
            self._place(at)

    def exchange(self, left: Queue | Job, joined: Queue | Job, common: Queue) -> None:
        """An agent that worked in or below one works in or below the other: nobody else moved.

        What is above both, from the lowest such queue on, is looked at only where it notices.
        """
        before = common.line.standing
        for start, agents in ((left, -1), (joined, 1)):
            at = start
            while at is not common:
                at.assigned += agents
                self._place(at)
                assert at.parent is not None
                at = at.parent
        if common.line.standing != before:
            self.settle(common)

    def settle(self, node: Queue | Job) -> None:
        """Something else of the node changed: look how it stands, and who above notices."""
        at: Queue | Job = node
        while at.parent is not None:
            before = at.standing
            self._place(at)
            if at.standing == before:
                return
            at = at.parent

    def settle_below(self, queue: Queue) -> None:
        """The order between the queue's children changed."""
        for child in queue.children:
            self._place(child)

    def close(self, job: Job) -> None:
        """Let the job be closed to everyone until it is settled again."""
        if job.key is not None and job.parent is not None:
            job.parent.line.remove(job)
            self.settle(job.parent)

    def _place(self, node: Queue | Job) -> None:
        """Let the node stand in its parent's line as it should."""
        parent = node.parent
        if parent is None:
            return
        standing = self._standing(node)
        if standing:
            assigned = node.assigned
            key = turn_with(node, parent, assigned, begun=assigned > 0)
            if key != node.key or standing != node.standing:
                parent.line.put(node, key, standing)
        elif node.key is not None:
            parent.line.remove(node)

    def _standing(self, node: Queue | Job) -> int:
        """The bits of what is open and owed in or below a node."""
        maximum, minimum = node.maximum, node.minimum
        if node.paused or (maximum is not None and node.assigned >= maximum):
            return 0
        if isinstance(node, Queue):
            below = node.line.standing
        else:
            below = node.kind if node.waiting and node.parents_done else 0
        if minimum is None or node.assigned >= minimum:
            return below
        return below | owed(below & self.kinds.open_bits)

    def _raise(self, queue: Queue) -> None:
        """Find how everything below the queue stands, from the leaves up."""
        standing: list[Queue | Job] = []
        for child in queue.children:
            if isinstance(child, Queue):
                self.queues[child.id] = child
                self._raise(child)
            else:
                child.kind = self.kinds.join(child.requirements)
            child.standing = self._standing(child)
            child.key = turn(child, queue) if child.standing else None
            if child.standing:
                standing.append(child)
        queue.line.fill(standing)
