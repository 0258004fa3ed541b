"""What is to be done to a tree of queues so that it is as a description says.

Each queue of the description is one that is there, or a new one. One that is there is known by its
id, by where it was (`moved_from`), or by its name below the queue that is its parent already; so
a rename is never a deletion and a creation, and no job is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Settings = Mapping[str, Any]

# Of a new queue, where the description does not say it.
OF_NEW: Settings = {"paused": False}


@dataclass(frozen=True, slots=True)
class Stored:
    """A queue as it is; a parent below zero is a new queue's."""

    id: int
    parent: int | None
    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """A queue as it is described; a setting that is not named stays as it is."""

    path: str
    settings: Settings
    id: int | None = None
    moved_from: str | None = None

    @property
    def above(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the tree that is described: what is below `root`, None for the whole.

    `path` is that queue's, "" for the whole; `levels` may hang below it.
    """

    stored: Sequence[Stored]
    levels: int
    root: int | None = None
    path: str = ""


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


class Wrong(Exception):
    """The description does not fit the tree: each place, and what is wrong there."""

    def __init__(self, places: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {what}" for path, what in places))
        self.places = places


def difference(part: Part, wanted: Sequence[Wanted], *, delete: bool = False) -> Difference:
    """What makes the part as described, each queue after the one above it. Raises `Wrong`.

    With `delete` a queue that is not described goes, else it stays where it is.
    """
    farm = _Farm(part)
    matched = _matched(farm, wanted)
    edits = _edits(farm, matched)
    described = {found.id for _, found in matched if found is not None}
    rest = [one for one in part.stored if one.id not in described]
    paths = sorted((farm.paths[one.id], one) for one in rest) if delete else []
    found = Difference(
        edits,
        [Deleted(path, one) for path, one in reversed(paths)],
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


@dataclass(slots=True)
class _Farm:
    """The stored queues, to be found by id, by path, and by name below a parent."""

    part: Part
    by_id: dict[int, Stored] = field(init=False)
    by_name: dict[tuple[int | None, str], Stored] = field(init=False)
    paths: dict[int, str] = field(init=False)
    by_path: dict[str, Stored] = field(init=False)

    def __post_init__(self) -> None:
        self.by_id = {one.id: one for one in self.part.stored}
        self.by_name = {(one.parent, one.name): one for one in self.part.stored}
        self.paths = paths(self.part, self.part.stored)
        self.by_path = {path: self.by_id[queue_id] for queue_id, path in self.paths.items()}


def paths(part: Part, stored: Iterable[Stored]) -> dict[int, str]:
    """The path of each queue by its id."""
    by_id = {one.id: one for one in stored}
    found: dict[int, str] = {}
    for one in by_id.values():
        chain: list[Stored] = []
        at: Stored | None = one
        while at is not None and at.id not in found:
            chain.append(at)
            at = None if at.parent == part.root or at.parent is None else by_id[at.parent]
        above = part.path if at is None else found[at.id]
        for below in reversed(chain):
            above = found[below.id] = f"{above}/{below.name}"
    return found


_Matched = list[tuple[Wanted, Stored | None]]


def _matched(farm: _Farm, wanted: Sequence[Wanted]) -> _Matched:
    """Each with the queue that it is, None for a new one."""
    wrong: list[tuple[str, str]] = []
    claims = _claimed(farm, wanted, wrong)
    taken = {found.id for found in claims.values()}
    matched: dict[str, Stored | None] = {}
    for one in wanted:
        found = claims.get(one.path)
        if found is None:
            found = _by_name(farm, one, matched)
            found = None if found is None or found.id in taken else found
        if found is None and one.moved_from is not None and one.id is None:
            wrong.append((one.path, _not_there(farm, one)))
        matched[one.path] = found
    if wrong:
        raise Wrong(wrong)
    return [(one, matched[one.path]) for one in wanted]


def _claimed(
    farm: _Farm, wanted: Sequence[Wanted], wrong: list[tuple[str, str]]
) -> dict[str, Stored]:
    """Those that the description names by their id, or by where they are now."""
    claims: dict[str, Stored] = {}
    taken: dict[int, str] = {}
    for one in wanted:
        if one.id is not None and one.moved_from is not None:
            wrong.append((one.path, "give either id or moved_from, not both"))
            continue
        found = _named(farm, one, wrong)
        if found is None:
            continue
        if found.id in taken:
            twice = f"is queue {found.id} ({farm.paths[found.id]}), as is {taken[found.id]}"
            wrong.append((one.path, f"{twice}: a queue can be in one place only"))
            continue
        taken[found.id] = one.path
        claims[one.path] = found
    return claims


def _named(farm: _Farm, one: Wanted, wrong: list[tuple[str, str]]) -> Stored | None:
    if one.id is not None:
        if one.id not in farm.by_id:
            below = f" below {farm.part.path}" if farm.part.path else ""
            what = f"id: there is no queue with id {one.id}{below}: leave the id out for a new one"
            wrong.append((one.path, what))
        return farm.by_id.get(one.id)
    if one.moved_from is None or one.path in farm.by_path:
        return None  # a move that is done already
    return farm.by_path.get(one.moved_from.rstrip("/"))


def _by_name(farm: _Farm, one: Wanted, matched: Mapping[str, Stored | None]) -> Stored | None:
    """The queue of this name below the one that its parent is now."""
    if one.above == farm.part.path:
        return farm.by_name.get((farm.part.root, one.name))
    parent = matched.get(one.above)
    return None if parent is None else farm.by_name.get((parent.id, one.name))


def _not_there(farm: _Farm, one: Wanted) -> str:
    below = f" below {farm.part.path}" if farm.part.path else ""
    return (
        f"moved_from: there is no queue {one.moved_from}{below}:"
        " write the path that it has now, or leave moved_from out for a new queue"
    )


def _edits(farm: _Farm, matched: _Matched) -> list[Made | Changed]:
    """A queue after the one above it, as they are described."""
    ids: dict[str, int | None] = {farm.part.path: farm.part.root}
    edits: list[Made | Changed] = []
    new = 0
    for one, found in matched:
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
