"""The open children of a queue in the order of their turns, as one line.

The line is cut into stretches of at most `LONGEST` members, and above the stretches stands a tree
of what is open and owed in them. So the first member that has something for an agent is found in
O(log n), and so is the place of one that moves.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import reduce
from itertools import chain
from operator import attrgetter, or_
from typing import Generic, Protocol, TypeVar

LONGEST = 64

Key = tuple[int, ...]


class Standing(Protocol):
    """What stands in a line: its key while it does, and its bits of what is open and owed."""

    key: Key | None
    standing: int


Member = TypeVar("Member", bound=Standing)
_bits_of: Callable[[Standing], int] = attrgetter("standing")


class _Stretch(Generic[Member]):
    """A part of the line; its keys are as many and in the same order as its members."""

    __slots__ = ("keys", "members")

    def __init__(self, keys: list[Key], members: list[Member]) -> None:
        self.keys = keys
        self.members = members

    def bits(self) -> int:
        return reduce(or_, map(_bits_of, self.members))


class Line(Generic[Member]):
    """Members by their keys, of which no two are equal.

    `standing` is all that is open or owed in the line; it is read far more often than it changes.
    """

    __slots__ = ("_lasts", "_stretches", "_tree", "standing")

    def __init__(self) -> None:
        self.standing = 0
        self._stretches: list[_Stretch[Member]] = []
        self._lasts: list[Key] = []  # of each stretch
        self._tree = _Tree([])

    def first(self, bits: int) -> Member:
        """The first member that has one of the bits; there is one."""
        stretches = self._stretches
        at = self._tree.first(bits) if len(stretches) > 1 else 0
        for member in stretches[at].members:
            if member.standing & bits:
                return member
        raise LookupError("the line has nothing of it")

    def after(self, member: Member, bits: int) -> Member | None:
        """The next member behind this one, which stands in the line, that has one of the bits."""
        assert member.key is not None
        at = self._at(member.key)
        stretch = self._stretches[at]
        for other in stretch.members[bisect_left(stretch.keys, member.key) + 1 :]:
            if other.standing & bits:
                return other
        following = self._tree.first_from(at + 1, bits)
        if following is None:
            return None
        return next(one for one in self._stretches[following].members if one.standing & bits)

    def fill(self, members: list[Member]) -> None:
        """Let these, with their keys and bits, be the whole line."""
        members = sorted(members, key=_key)
        parts = [members[at : at + LONGEST // 2] for at in range(0, len(members), LONGEST // 2)]
        self._stretches = [_Stretch([_key(member) for member in part], part) for part in parts]
        self._look_anew()

    def put(self, member: Member, key: Key, standing: int) -> None:
        """Let the member stand at the key, with these bits, wherever it stood before."""
        before = member.key
        if before is not None:
            lasts = self._lasts
            short = len(lasts) == 1
            at = 0 if short else bisect_left(lasts, before)
            if short or at == self._at(key):
                self._move_within(at, member, before, key, standing)
                return
            self.remove(member)
        self._enter(member, key, standing)

    def remove(self, member: Member) -> None:
        key = _key(member)
        at = bisect_left(self._lasts, key)
        _take_out(self._stretches[at], key)
        member.key, member.standing = None, 0
        if self._stretches[at].keys:
            self._lasts[at] = self._stretches[at].keys[-1]
            self._tree.set(at, self._stretches[at].bits())
        else:
            del self._stretches[at], self._lasts[at]
            self._tree = self._tree.with_in_place(at, [])
        self.standing = self._tree.bits[1]

    def _at(self, key: Key) -> int:
        """The stretch in which a key has its place."""
        return min(bisect_left(self._lasts, key), len(self._lasts) - 1)

    def _move_within(self, at: int, member: Member, before: Key, key: Key, standing: int) -> None:
        stretch = self._stretches[at]
        if before != key:
            keys, members = stretch.keys, stretch.members
            place, new = bisect_left(keys, before), bisect_left(keys, key)
            if new - place in {0, 1}:  # between the same two as before
                keys[place] = key
            else:
                new -= new > place  # it leaves the line before it enters it
                del keys[place], members[place]
                keys.insert(new, key)
                members.insert(new, member)
            member.key = key
            self._lasts[at] = keys[-1]
        if member.standing != standing:
            member.standing = standing
            self._tree.set(at, stretch.bits())
            self.standing = self._tree.bits[1]

    def _enter(self, member: Member, key: Key, standing: int) -> None:
        member.standing = standing
        if not self._stretches:
            member.key = key
            self.fill([member])
            return
        at = self._at(key)
        self._put_into(at, member, key)
        if len(self._stretches[at].keys) > LONGEST:
            self._split(at)
        else:
            self._tree.set(at, self._tree.leaf(at) | standing)
        self.standing = self._tree.bits[1]

    def _put_into(self, at: int, member: Member, key: Key) -> None:
        stretch = self._stretches[at]
        place = bisect_left(stretch.keys, key)
        stretch.keys.insert(place, key)
        stretch.members.insert(place, member)
        member.key = key
        self._lasts[at] = stretch.keys[-1]

    def _split(self, at: int) -> None:
        whole, half = self._stretches[at], LONGEST // 2
        rest = _Stretch(whole.keys[half:], whole.members[half:])
        del whole.keys[half:], whole.members[half:]
        self._stretches.insert(at + 1, rest)
        self._lasts[at : at + 1] = [whole.keys[-1], rest.keys[-1]]
        self._tree = self._tree.with_in_place(at, [whole.bits(), rest.bits()])

    def _look_anew(self) -> None:
        """At the whole line: for what fills it, not for what changes in it."""
        self._lasts = [stretch.keys[-1] for stretch in self._stretches]
        self._tree = _Tree([stretch.bits() for stretch in self._stretches])
        self.standing = self._tree.bits[1]


class _Tree:
    """A row of bit sets under a binary tree of their unions: `bits[1]` is the union of all."""

    __slots__ = ("_length", "_width", "bits")

    def __init__(self, row: list[int]) -> None:
        self._length = len(row)
        self._width = 1 << max(len(row) - 1, 0).bit_length()
        above = row + [0] * (self._width - len(row))
        rows = [above]
        while len(above) > 1:
            above = list(map(or_, above[::2], above[1::2]))
            rows.append(above)
        self.bits = [0, *chain.from_iterable(reversed(rows))]

    def with_in_place(self, place: int, bits: list[int]) -> "_Tree":
        """A tree in whose row these stand where one stood."""
        row = self.bits[self._width : self._width + self._length]
        row[place : place + 1] = bits
        return _Tree(row)

    def leaf(self, place: int) -> int:
        return self.bits[self._width + place]

    def set(self, place: int, bits: int) -> None:
        at = self._width + place
        while at and self.bits[at] != bits:
            self.bits[at] = bits
            bits |= self.bits[at ^ 1]
            at >>= 1

    def first(self, bits: int) -> int:
        """The first place that has one of the bits; there is one."""
        at = 1
        while at < self._width:
            at *= 2
            if not self.bits[at] & bits:
                at += 1
        return at - self._width

    def first_from(self, place: int, bits: int) -> int | None:
        """The first place from this one on that has one of the bits."""
        places = range(place, self._length)
        return next((at for at in places if self.bits[self._width + at] & bits), None)


def _take_out(stretch: _Stretch[Member], key: Key) -> None:
    place = bisect_left(stretch.keys, key)
    del stretch.keys[place], stretch.members[place]


def _key(member: Standing) -> Key:
    assert member.key is not None
    return member.key
