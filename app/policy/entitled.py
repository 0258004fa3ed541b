"""How many agents each node is entitled to: the rules of the walk, for many agents at once.

It is what the nodes would have if so many agents, each fit for everything, came one after the other
to a farm in which nobody works yet. What now runs counts as work that could be given out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from itertools import groupby
from math import ceil

from app.policy.farm import turn_with
from app.policy.line import Key
from app.policy.tree import Job, Queue

# So many agents for each that shares them are handed out one by one.
_SINGLY = 8

# Halvings of the interval in which the common share lies; whatever it misses is handed out singly.
_HALVINGS = 50
_ROUNDED = 1 - 1e-9

Shares = dict[Queue | Job, int]


def entitled(root: Queue, agents: int) -> Shares:
    """The agents that the root and every node below it are entitled to, of `agents` in all."""
    need: dict[Queue | Job, _Need] = {}
    _look(root, need)
    shares: Shares = {}
    _share(root, min(agents, need[root].most), need, shares)
    return shares


@dataclass(slots=True)
class _Need:
    """Agents that a node must have before others get more than that, and the most it can use."""

    least: int
    most: int


def _look(node: Queue | Job, need: "dict[Queue | Job, _Need]") -> None:
    if isinstance(node, Job):
        least, most = 0, _batches(node)
    else:
        for child in node.children:
            _look(child, need)
        least = sum(need[child].least for child in node.children)
        most = sum(need[child].most for child in node.children)
    if node.paused:
        most = 0
    if node.maximum is not None:
        most = min(most, node.maximum)
    need[node] = _Need(min(most, max(least, node.minimum or 0)), most)


def _batches(job: Job) -> int:
    """Agents that the job has or could have, its tasks cut into batches without regard to gaps."""
    waiting = len(job.waiting) if job.parents_done else 0
    return job.assigned + -(-waiting // job.batch)


def _share(queue: Queue, agents: int, need: "dict[Queue | Job, _Need]", shares: Shares) -> None:
    """Share the queue's agents out among all below it: first to those that are owed."""
    shares[queue] = agents
    if agents == 0:
        shares.update(_nothing_below(queue))
        return
    lots = [_Lot(child, 0, need[child].least) for child in queue.children]
    left = _deal(lots, agents, queue)
    for lot in lots:
        lot.limit = need[lot.node].most
    _deal(lots, left, queue)
    for lot in lots:
        if isinstance(lot.node, Queue):
            _share(lot.node, lot.agents, need, shares)
        else:
            shares[lot.node] = lot.agents


def _nothing_below(queue: Queue) -> Iterator[tuple[Queue | Job, int]]:
    for child in queue.children:
        yield child, 0
        if isinstance(child, Queue):
            yield from _nothing_below(child)


@dataclass(slots=True, eq=False)
class _Lot:
    """What a child has so far, and how much it may have."""

    node: Queue | Job
    agents: int
    limit: int

    @property
    def weight(self) -> int:
        return self.node.weight or 1  # leftovers are shared evenly

    def at(self, share: float) -> int:
        """The agents it has once nobody's turn is left at which it has less than this share."""
        return max(self.agents, min(self.limit, ceil(share * self.weight)))


def _deal(lots: Sequence[_Lot], agents: int, queue: Queue) -> int:
    """Give the agents to those that may have more, group after group; how many are left."""
    for group in _groups([lot for lot in lots if lot.agents < lot.limit], queue):
        room = sum(lot.limit - lot.agents for lot in group)
        if room <= agents:
            for lot in group:
                lot.agents = lot.limit
            agents -= room
            continue
        _even_out(group, agents, queue)
        return 0
    return agents


def _groups(lots: Sequence[_Lot], queue: Queue) -> Iterator[list[_Lot]]:
    """Those that share in proportion; what one group leaves is for the next."""
    ordered = sorted(lots, key=lambda lot: _key(lot, queue))
    for _, group in groupby(ordered, key=lambda lot: _rank(_key(lot, queue))):
        yield list(group)


def _rank(key: Key) -> Key:
    """The rules that come before shares. Of jobs that nobody began each is of a rank of its own."""
    return key[:3]


def _key(lot: _Lot, queue: Queue) -> Key:
    begun = lot.agents > 0 or lot.node.assigned > 0
    return turn_with(lot.node, queue, lot.agents, begun=begun)


def _even_out(group: Sequence[_Lot], agents: int, queue: Queue) -> None:
    """Give them so many agents, each the next to whoever's turn it is; they have room for more."""
    left = agents
    if agents > _SINGLY * len(group):
        before = sum(lot.agents for lot in group)
        share = _common_share(group, before + agents)
        for lot in group:
            lot.agents = lot.at(share)
        left = before + agents - sum(lot.agents for lot in group)
    turns = [(_key(lot, queue), lot) for lot in group if lot.agents < lot.limit]
    heapify(turns)
    for _ in range(left):
        lot = turns[0][1]
        lot.agents += 1
        if lot.agents < lot.limit:
            heapreplace(turns, (_key(lot, queue), lot))
        else:
            heappop(turns)


def _common_share(group: Sequence[_Lot], agents: int) -> float:
    """Agents per unit of weight to which all may be raised at once, and surely are in the end.

    A little less than it could be, so that no rounding makes it more.
    """
    low, high = 0.0, float(max(lot.limit for lot in group))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if sum(lot.at(middle) for lot in group) <= agents:
            low = middle
        else:
            high = middle
    return low * _ROUNDED
