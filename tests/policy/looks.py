"""What a kept line or farm looks like, in words that do not depend on how it came about."""

from dataclasses import fields
from itertools import pairwise
from typing import Any, TypeVar

from app.policy.farm import Farm
from app.policy.fit import Requirements
from app.policy.kinds import Kinds, owed
from app.policy.line import LONGEST, Line, Standing
from app.policy.tree import Job, Queue

Member = TypeVar("Member", bound=Standing)
Name = tuple[str, int]
KEPT = {"parent", "children", "line", "standing", "kind", "waiting"}  # told in other words


def in_order(line: Line[Member], longest: int = LONGEST) -> list[Member]:
    """The members, after a look that the line is as it should be inside."""
    stretches = line._stretches
    members = [member for stretch in stretches for member in stretch.members]
    assert all(0 < len(stretch.members) <= longest for stretch in stretches)
    keys = [key for stretch in stretches for key in stretch.keys]
    assert keys == [member.key for member in members]
    assert all(one < other for one, other in pairwise(keys))
    assert line._lasts == [stretch.keys[-1] for stretch in stretches]
    unions = [union(stretch.members) for stretch in stretches]
    tree = line._tree
    assert tree.bits[tree._width :] == unions + [0] * (tree._width - len(unions))
    for at in range(1, tree._width):
        assert tree.bits[at] == tree.bits[2 * at] | tree.bits[2 * at + 1]
    assert line.standing == union(members)
    return members


def union(members: list[Member]) -> int:
    bits = 0
    for member in members:
        bits |= member.standing
    return bits


def looks(farm: Farm) -> dict[Name, dict[str, Any]]:
    """Each node by what it is and its id: its settings, how it stands, and the line in it."""
    found: dict[Name, dict[str, Any]] = {}
    left: list[Queue | Job] = [farm.root]
    while left:
        node = left.pop()
        found[named(node)] = look(node, farm.kinds)
        if isinstance(node, Queue):
            assert all(child.parent is node for child in node.children)
            left += node.children
    return found


def look(node: Queue | Job, kinds: Kinds) -> dict[str, Any]:
    told = {f.name: getattr(node, f.name) for f in fields(node) if f.name not in KEPT}
    told["standing"] = open_and_owed(node.standing, kinds)
    if isinstance(node, Queue):
        told["children"] = {named(child) for child in node.children}
        told["line"] = [named(child) for child in in_order(node.line)]
    else:
        told["waiting"] = node.waiting.ranges
        assert node.kind == kinds._kinds[node.requirements].bit
    return told


def open_and_owed(standing: int, kinds: Kinds) -> tuple[set[Requirements], set[Requirements]]:
    assert not standing & ~(kinds.open_bits | owed(kinds.open_bits)), "a bit of no kind"
    bits = [(required, kind.bit) for required, kind in kinds._kinds.items()]
    return (
        {kind for kind, bit in bits if standing & bit},
        {kind for kind, bit in bits if standing & owed(bit)},
    )


def in_use(kinds: Kinds) -> dict[Requirements, int]:
    """Requirements that jobs have, and how many do."""
    jobs = {required: kind.jobs for required, kind in kinds._kinds.items()}
    assert kinds._spare == {required for required, having in jobs.items() if having == 0}
    return {required: having for required, having in jobs.items() if having}


def named(node: Queue | Job) -> Name:
    return ("queue" if isinstance(node, Queue) else "job"), node.id
