"""Which queue of the tree each queue of a description is.

Each is one that is there, or a new one. One that is there is known by its id, by where it was
(`moved_from`), or by its name below the queue that is its parent already; so a rename is never a
deletion and a creation, and no job is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Any]


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


class Wrong(Exception):
    """The description does not fit the tree: each place, and what is wrong there."""

    def __init__(self, places: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {what}" for path, what in places))
        self.places = places


@dataclass(slots=True)
class Farm:
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


Matched = list[tuple[Wanted, Stored | None]]


def matched(farm: Farm, wanted: Sequence[Wanted]) -> Matched:
    """Each with the queue that it is, None for a new one. Raises `Wrong`."""
    matching = _Matching(farm, wanted)
    found = [(one, matching.found(one.path)) for one in wanted]
    matching.must_hear(found)
    if matching.wrong:
        raise Wrong(matching.wrong)
    return found


class _Matching:
    """Ids come first, then where queues are now; who is known by neither goes by its name."""

    def __init__(self, farm: Farm, wanted: Sequence[Wanted]) -> None:
        self.farm = farm
        self.wrong: list[tuple[str, str]] = []
        self._claims: dict[str, Stored] = {}
        self._taken: dict[int, str] = {}
        self._sources: dict[str, Stored] = {}
        self._movers: dict[int, Wanted] = {}  # by the id of what they say they were
        self._moving: dict[str, bool] = {}
        for one in wanted:
            if (found := self._named(one)) is not None:
                self._claim(one, found)
        for one in wanted:
            if (source := self._source(one)) is not None:
                self._sources[one.path] = source
                self._movers.setdefault(source.id, one)
        for one in wanted:
            if one.path in self._sources and self._moves(one):
                self._claim(one, self._sources[one.path])

    def found(self, path: str) -> Stored | None:
        """The queue that is to be at this path, as far as is known by now."""
        if path in self._claims:
            return self._claims[path]
        there = self._there(path)
        return None if there is None or there.id in self._taken else there

    def must_hear(self, matched: Matched) -> None:
        """No `moved_from` is passed over: who was there has moved already, or somebody is it."""
        described = {found.id for _, found in matched if found is not None}
        for one, found in matched:
            source = self._sources.get(one.path)
            if source is None and found is None and one.moved_from is not None and one.id is None:
                self._refuse(one, _not_there(self.farm, one))
            elif source is not None and found is not None and source.id not in described:
                self._refuse(one, _in_the_way(one, found))

    def _there(self, path: str) -> Stored | None:
        """Who is now below what its parent is to be, by this name."""
        above, _, name = path.rpartition("/")
        if above == self.farm.part.path:
            return self.farm.by_name.get((self.farm.part.root, name))
        parent = self.found(above)
        return None if parent is None else self.farm.by_name.get((parent.id, name))

    def _named(self, one: Wanted) -> Stored | None:
        """By its id."""
        if one.id is None:
            return None
        if one.moved_from is not None:
            self._refuse(one, "give either id or moved_from, not both")
            return None
        if one.id not in self.farm.by_id:
            below = f" below {self.farm.part.path}" if self.farm.part.path else ""
            what = f"id: there is no queue with id {one.id}{below}: leave the id out for a new one"
            self._refuse(one, what)
        return self.farm.by_id.get(one.id)

    def _source(self, one: Wanted) -> Stored | None:
        """Who is now where it says that it was."""
        if one.moved_from is None or one.id is not None:
            return None
        return self.farm.by_path.get(one.moved_from.rstrip("/"))

    def _claim(self, one: Wanted, found: Stored) -> None:
        if found.id in self._taken:
            twice = f"is queue {found.id} ({self.farm.paths[found.id]}), as is"
            where = "a queue can be in one place only"
            self._refuse(one, f"{twice} {self._taken[found.id]}: {where}")
            return
        self._taken[found.id] = one.path
        self._claims[one.path] = found

    def _moves(self, one: Wanted) -> bool:
        """Whether its place is free for what it was, or gets free.

        Who is there may leave for another place, which gets free in turn: all move, or none.
        """
        chain: dict[str, Wanted] = {}
        at: Wanted | None = one
        known: bool | None = None
        while known is None:
            if at is None:
                known = False  # nobody says that who is there has left
            elif at.path in chain:
                self._refuse_circle(chain)
                known = False
            else:
                chain[at.path] = at
                known, at = self._looked(at)
        self._moving.update(dict.fromkeys(chain, known))
        return known

    def _looked(self, one: Wanted) -> tuple[bool | None, Wanted | None]:
        """Whether it moves; where that hangs on who is there, who says that it was that one."""
        there = self._there(one.path)
        if one.path in self._moving:
            return self._moving[one.path], None
        if there is None or there.id in self._taken or there.id == self._sources[one.path].id:
            return True, None
        return None, self._movers.get(there.id)

    def _refuse_circle(self, chain: Mapping[str, Wanted]) -> None:
        what = (
            "moved_from: queues that change places in a circle would do so again each time that"
            " this is applied: give their ids instead"
        )
        for one in chain.values():
            self._refuse(one, what)

    def _refuse(self, one: Wanted, what: str) -> None:
        self.wrong.append((one.path, what))


def _not_there(farm: Farm, one: Wanted) -> str:
    below = f" below {farm.part.path}" if farm.part.path else ""
    return (
        f"moved_from: there is no queue {one.moved_from}{below}:"
        " write the path that it has now, or leave moved_from out for a new queue"
    )


def _in_the_way(one: Wanted, there: Stored) -> str:
    return (
        f"moved_from: {one.moved_from} is still there, and another queue (id {there.id}) is here:"
        " describe that one where it is to go, with its id; or leave moved_from out, if"
        " this is to be the one that is here"
    )
