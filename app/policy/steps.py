"""The walk told step by step: whose turn it was at each queue, and by which rule.

It looks at the farm as `pick` does, and decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from app.policy.kinds import owed
from app.policy.tree import Job, Queue, path


class Rule(StrEnum):
    """What decides between two open siblings, in the order in which the rules apply."""

    MINIMUM = "minimum"  # it is below its minimum, or something in it is
    PRIORITY = "priority"
    RUNNING_FIRST = "running_first"
    LEFTOVERS = "leftovers"  # weight zero comes last
    SHARE = "share"
    WEIGHT = "weight"
    JOB_FIRST = "job_first"
    OLDER = "older"


# Candidates of a step that are told by name: those whose turns come first.
TOLD = 5

# The rules in the places of a turn's key; among jobs that nobody works on, the third is the last.
_IN_THE_KEY = (
    *(Rule.PRIORITY, Rule.RUNNING_FIRST, Rule.LEFTOVERS),
    *(Rule.SHARE, Rule.WEIGHT, Rule.JOB_FIRST, Rule.OLDER),
)


@dataclass(frozen=True, slots=True)
class Stood:
    """The numbers of a node that rules go by, as they were at a moment."""

    is_job: bool
    id: int
    priority: int
    weight: int
    assigned: int
    owed: bool


@dataclass(frozen=True, slots=True)
class Step:
    """How `node` stands at the queue above it, for agents that meet certain kinds.

    `place` is 1 for whose turn it is, None where the node is not open for them. `other` is whose
    turn it is instead; where it is the node's own, whose comes next. `rule` decides between them,
    by the numbers as they `stood`, of the node and of the other. `in_turn` are the first of the
    candidates, as they stand.
    """

    queue: Queue
    node: Queue | Job
    candidates: int
    owed: int
    place: int | None
    other: Queue | Job | None
    rule: Rule | None
    stood: tuple[Stood, Stood | None]
    in_turn: list[tuple[Queue | Job, Stood]]


def steps_to(node: Queue | Job, met: int, start: Queue) -> list[Step]:
    """The way from `start` down to the node; none where it lies elsewhere."""
    above = list(path(node))
    if start not in above:
        return []
    return [_step(at, met) for at in above[: above.index(start)][::-1]]


def rule_between(first: Queue | Job, other: Queue | Job, met: int) -> Rule:
    """Why one open child of a queue goes before another one."""
    if first.standing & owed(met) and not other.standing & owed(met):
        return Rule.MINIMUM
    mine, yours = first.key, other.key
    assert mine is not None
    assert yours is not None
    at = next(place for place, part in enumerate(mine) if part != yours[place])
    return Rule.OLDER if at == len(mine) - 1 else _IN_THE_KEY[at]


def second_at(queue: Queue, first: Queue | Job, met: int) -> Queue | Job | None:
    """Who is next at a queue after the first: those that are owed come before all others."""
    line = queue.line
    if first.standing & owed(met):
        if (next_owed := line.after(first, owed(met))) is not None:
            return next_owed
        other = line.first(met)
        return line.after(first, met) if other is first else other
    return line.after(first, met)


def stood(node: Queue | Job, met: int) -> Stood:
    """The node as it stands now."""
    is_owed = bool(node.standing & owed(met))
    is_job = isinstance(node, Job)
    return Stood(is_job, node.id, node.priority, node.weight, node.assigned, is_owed)


def _step(node: Queue | Job, met: int) -> Step:
    queue = node.parent
    assert queue is not None
    candidates = [child for child in queue.children if child.standing & met]
    place, other, rule = _place(node, met, queue, candidates)
    return Step(
        queue=queue,
        node=node,
        candidates=len(candidates),
        owed=sum(1 for child in candidates if child.standing & owed(met)),
        place=place,
        other=other,
        rule=rule,
        stood=(stood(node, met), None if other is None else stood(other, met)),
        in_turn=[
            (one, stood(one, met))
            for one in nsmallest(TOLD, candidates, key=lambda one: _order(one, met))
        ],
    )


def _place(
    node: Queue | Job, met: int, queue: Queue, candidates: Sequence[Queue | Job]
) -> tuple[int | None, Queue | Job | None, Rule | None]:
    """Its place among the candidates, the other that it is to be seen beside, and the rule."""
    first = _first(queue, met)
    if first is None or not node.standing & met:
        return None, first, None
    if node is first:
        second = second_at(queue, node, met)
        return 1, second, None if second is None else rule_between(node, second, met)
    mine = _order(node, met)
    place = 1 + sum(_order(child, met) < mine for child in candidates)
    return place, first, rule_between(first, node, met)


def _first(queue: Queue, met: int) -> Queue | Job | None:
    standing = queue.line.standing
    if not standing & met:
        return None
    return queue.line.first(owed(met) if standing & owed(met) else met)


def _order(node: Queue | Job, met: int) -> tuple[bool, tuple[int, ...]]:
    assert node.key is not None
    return (not node.standing & owed(met), node.key)
