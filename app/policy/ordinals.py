"""Sets of a job's task numbers, kept as the few ranges they are: [first, end), ascending, apart."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class Ordinals:
    """A mutable set of ordinals; a million in a row cost one pair."""

    __slots__ = ("_ranges",)

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges = list(ranges)

    def __bool__(self) -> bool:
        return bool(self._ranges)

    def __len__(self) -> int:
        return sum(end - first for first, end in self._ranges)

    def __iter__(self) -> Iterator[int]:
        for first, end in self._ranges:
            yield from range(first, end)

    def __contains__(self, ordinal: int) -> bool:
        at = self._at(ordinal)
        return at >= 0 and ordinal < self._ranges[at][1]

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(self._ranges)

    def pop(self) -> int:
        """Take out the lowest; there is one."""
        first, end = self._ranges[0]
        if first + 1 < end:
            self._ranges[0] = (first + 1, end)
        else:
            del self._ranges[0]
        return first

    def remove(self, ordinals: Iterable[int]) -> None:
        """Take out ordinals that are in the set; `KeyError` for one that is not."""
        for first, end in runs(ordinals):
            at = self._at(first)
            if at < 0 or end > self._ranges[at][1]:
                raise KeyError(first)
            left, right = self._ranges[at]
            rest = [(left, first), (end, right)]
            self._ranges[at : at + 1] = [kept for kept in rest if kept[0] < kept[1]]

    def add(self, ordinals: Iterable[int]) -> None:
        """Put in ordinals that are not in the set; ranges that meet become one."""
        for first, end in runs(ordinals):
            at = self._at(first) + 1  # where it goes, if it meets no other
            before = [kept for kept in self._ranges[max(at - 1, 0) : at] if kept[1] == first]
            after = [kept for kept in self._ranges[at : at + 1] if kept[0] == end]
            joined = [*before, (first, end), *after]
            self._ranges[at - len(before) : at + len(after)] = [(joined[0][0], joined[-1][1])]

    def _at(self, ordinal: int) -> int:
        """Index of the last range that begins at or before `ordinal`; -1 for none."""
        return bisect_right(self._ranges, ordinal, key=lambda kept: kept[0]) - 1


def runs(ordinals: Iterable[int]) -> list[Range]:
    """Ascending ordinals as ranges: 1 2 3 7 → (1, 4) (7, 8)."""
    found: list[Range] = []
    for ordinal in ordinals:
        if found and found[-1][1] == ordinal:
            found[-1] = (found[-1][0], ordinal + 1)
        else:
            found.append((ordinal, ordinal + 1))
    return found
