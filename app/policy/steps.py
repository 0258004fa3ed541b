"""The walk told step by step: whose turn it was at each queue, and by which rule.

It looks at the farm as `pick` does, and decides nothing.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.policy.farm import turn
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


# The rules in the places of a turn's key; among jobs that nobody works on, the third is the last.
_IN_THE_KEY = (
    *(Rule.PRIORITY, Rule.RUNNING_FIRST, Rule.LEFTOVERS),
    *(Rule.SHARE, Rule.WEIGHT, Rule.JOB_FIRST, Rule.OLDER),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Of the open children of a queue the `first`, and the one after it with the rule between."""

    queue: Queue
    first: Queue | Job
    second: Queue | Job | None
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Step:
    """How `node` stands at the queue above it, for agents that meet certain kinds.

    `place` is 1 for whose turn it is, None where the node is not open for them. `other` is whose
    turn it is instead; where it is the node's own, whose comes next. `rule` decides between them.
    """

    queue: Queue
    node: Queue | Job
    candidates: int
    owed: int
    place: int | None
    other: Queue | Job | None
    rule: Rule | None


def turns_to(job: Job, met: int, start: Queue) -> list[Turn]:
    """The walk from `start` that led to this job: what was decided at each queue on the way."""
    below = list(path(job))
    way = below[: below.index(start)][::-1]
    return [_turn(node, met) for node in way]


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
    assert first.parent is not None
    mine, yours = turn(first, first.parent), turn(other, first.parent)
    if len(mine) < len(yours) or len(yours) < len(mine):
        return Rule.PRIORITY if mine[0] != yours[0] else Rule.RUNNING_FIRST
    at = next(
        at for at, (one, another) in enumerate(zip(mine, yours, strict=True)) if one != another
    )
    return Rule.OLDER if at == len(mine) - 1 else _IN_THE_KEY[at]


def _turn(node: Queue | Job, met: int) -> Turn:
    queue = node.parent
    assert queue is not None
    second = _after(queue, node, met)
    rule = None if second is None else rule_between(node, second, met)
    return Turn(queue, node, second, rule)


def _after(queue: Queue, first: Queue | Job, met: int) -> Queue | Job | None:
    """The candidate after the first one: those that are owed come before all others."""
    line = queue.line
    if first.standing & owed(met):
        if (next_owed := line.after(first, owed(met))) is not None:
            return next_owed
        if line.standing & met:
            other = line.first(met)
            return line.after(first, met) if other is first else other
    return line.after(first, met)


def _step(node: Queue | Job, met: int) -> Step:
    queue = node.parent
    assert queue is not None
    candidates = [child for child in queue.children if child.standing & met]
    owed_ones = sum(1 for child in candidates if child.standing & owed(met))
    if not node.standing & met:
        return Step(queue, node, len(candidates), owed_ones, None, _first(queue, met), None)
    mine = _order(node, met)
    place = 1 + sum(_order(child, met) < mine for child in candidates)
    if place == 1:
        now = _turn(node, met)
        return Step(queue, node, len(candidates), owed_ones, place, now.second, now.rule)
    first = _first(queue, met)
    assert first is not None
    rule = rule_between(first, node, met)
    return Step(queue, node, len(candidates), owed_ones, place, first, rule)


def _first(queue: Queue, met: int) -> Queue | Job | None:
    standing = queue.line.standing
    if not standing & met:
        return None
    return queue.line.first(owed(met) if standing & owed(met) else met)


def _order(node: Queue | Job, met: int) -> tuple[bool, tuple[int, ...]]:
    assert node.key is not None
    return (not node.standing & owed(met), node.key)
