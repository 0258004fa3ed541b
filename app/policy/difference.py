"""What is to be done to a tree of queues so that it is as a description says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.policy.matching import (
    Farm,
    Matched,
    Part,
    Settings,
    Stored,
    Wanted,
    Wrong,
    matched,
    paths,
)

# Of a new queue, where the description does not say it.
OF_NEW: Settings = {"paused": False}


@dataclass(frozen=True, slots=True)
class Made:
    """A new queue, with an id below zero."""

    path: str
    queue: Stored


@dataclass(frozen=True, slots=True)
class Changed:
    """A queue that is there, with its paths before and after."""

    path: str
    was: str
    before: Stored
    after: Stored

    @property
    def moves(self) -> bool:
        return (self.before.parent, self.before.name) != (self.after.parent, self.after.name)

    @property
    def settings(self) -> dict[str, tuple[Any, Any]]:
        """Those that change: before and after."""
        both = {
            name: (old, self.after.settings[name]) for name, old in self.before.settings.items()
        }
        return {name: values for name, values in both.items() if values[0] != values[1]}


@dataclass(frozen=True, slots=True)
class Deleted:
    """A queue that is there, and is not to be any more."""

    path: str
    queue: Stored


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be done. Of `edits` each comes after those of the queue that it hangs below then.

    `unlisted` are the paths of queues that the description does not name, and that stay.
    """

    edits: Sequence[Made | Changed] = ()
    deleted: Sequence[Deleted] = ()
    unlisted: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.edits or self.deleted)


def difference(part: Part, wanted: Sequence[Wanted], *, delete: bool = False) -> Difference:
    """What makes the part as described, each queue after the one above it. Raises `Wrong`.

    With `delete` a queue that is not described goes, else it stays where it is.
    """
    farm = Farm(part)
    both = matched(farm, wanted)
    edits = _edits(farm, both)
    described = {found.id for _, found in both if found is not None}
    rest = [one for one in part.stored if one.id not in described]
    going = sorted((farm.paths[one.id], one) for one in rest) if delete else []
    found = Difference(
        edits,
        [Deleted(path, one) for path, one in reversed(going)],
        [] if delete else sorted(farm.paths[one.id] for one in rest),
    )
    _must_fit(part, found)
    return found


def applied(stored: Iterable[Stored], found: Difference) -> list[Stored]:
    """The queues as they are once all is done."""
    after = {one.id: one for one in stored}
    for edit in found.edits:
        queue = edit.queue if isinstance(edit, Made) else edit.after
        after[queue.id] = queue
    for deleted in found.deleted:
        del after[deleted.queue.id]
    return list(after.values())


def _edits(farm: Farm, both: Matched) -> list[Made | Changed]:
    """A queue after the one above it, as they are described."""
    ids: dict[str, int | None] = {farm.part.path: farm.part.root}
    edits: list[Made | Changed] = []
    new = 0
    for one, found in both:
        parent = ids[one.above]
        if found is None:
            new -= 1
            made = Stored(new, parent, one.name, {**OF_NEW, **one.settings})
            edits.append(Made(one.path, made))
            ids[one.path] = new
            continue
        ids[one.path] = found.id
        settings = {**found.settings, **one.settings}
        after = replace(found, parent=parent, name=one.name, settings=settings)
        if after != found:
            edits.append(Changed(one.path, farm.paths[found.id], found, after))
    return edits


def _must_fit(part: Part, found: Difference) -> None:
    """No two of a name below the same queue, and no path with too many names. Raises `Wrong`."""
    after = applied(part.stored, found)
    edited = {
        (edit.queue if isinstance(edit, Made) else edit.after).id: edit.path for edit in found.edits
    }
    wrong: list[tuple[str, str]] = []
    first: dict[tuple[int | None, str], int] = {}
    for one in sorted(after, key=lambda one: one.id in edited):
        other = first.setdefault((one.parent, one.name), one.id)
        if other != one.id:
            what = f"queue {other} has this name there, and the description leaves it there"
            wrong.append((edited[one.id], f"{what}: say with its id where it goes"))
    if not wrong:
        deep = f"is too deep: at most {part.levels} levels may be below {part.path or '/'}"
        ends = (path.removeprefix(part.path) for path in paths(part, after).values())
        wrong = [(part.path + end, deep) for end in ends if end.count("/") > part.levels]
    if wrong:
        raise Wrong(wrong)
