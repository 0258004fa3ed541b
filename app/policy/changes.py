"""A farm as it would be: changes that are tried on the farm itself, and taken back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from app.policy.farm import Farm
from app.policy.fit import Requirements
from app.policy.tree import Job, Queue

_OF_REQUIREMENTS = frozenset(field.name for field in fields(Requirements))


@dataclass(frozen=True, slots=True)
class Change:
    """Another value of one field: of a queue, of a job, or of what the job requires."""

    node: Queue | Job
    field: str
    value: Any


@contextmanager
def made(farm: Farm, change: Change) -> Iterator[None]:
    """The farm with the change; afterwards it is as it was."""
    node, field = change.node, change.field
    holder = node.requirements if field in _OF_REQUIREMENTS and isinstance(node, Job) else node
    before = getattr(holder, field)
    _set(farm, node, field, change.value)
    try:
        yield
    finally:
        _set(farm, node, field, before)


@contextmanager
def freed(farm: Farm, held: Job | None) -> Iterator[None]:
    """The farm as if an agent had ended its work for this job."""
    if held is not None:
        farm.count(held, -1)
    try:
        yield
    finally:
        if held is not None:
            farm.count(held, 1)


def freed_ram(free_ram: int, ram: int, asked: int) -> int:
    """What an agent has free once its work ends, of `ram` in all; the job `asked` for so much.

    While it works it may report as free what the work leaves, or all as before.
    """
    return max(free_ram, min(ram, free_ram + asked))


def _set(farm: Farm, node: Queue | Job, field: str, value: Any) -> None:
    if field in _OF_REQUIREMENTS and isinstance(node, Job) and node.parent is not None:
        parent = node.parent
        farm.cut(node)
        node.requirements = replace(node.requirements, **{field: value})
        farm.hang(node, parent)
    else:
        setattr(node, field, value)
        farm.settle(node)
