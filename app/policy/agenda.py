"""What happens when: entries by their moments, of which only those of the next while are sorted.

One heap of all would be asked for every entry about ten thousand others, all over the memory. Here
an entry goes to the end of a list, one for each part of the time, and a part is sorted once its
turn has come.
"""

from heapq import heapify, heappop, heappush
from math import inf
from typing import Generic, TypeVar

PARTS = 4_096

# Of entries the moment is the first; no two are equal in all that they are compared by.
Entry = TypeVar("Entry", bound=tuple[float, int, object, object])


class Agenda(Generic[Entry]):
    """Entries from second 0 on, none earlier than what was taken out last."""

    def __init__(self, horizon: float) -> None:
        self._seconds = horizon / PARTS
        self._at = 0  # the part whose turn it is
        self._present: list[Entry] = []  # a heap: of that part
        self._later: dict[int, list[Entry]] = {}
        self._parts: list[int] = []  # a heap: those of which something is there

    def add(self, entry: Entry) -> None:
        """All that lies beyond the horizon is one part."""
        part = min(int(entry[0] / self._seconds), PARTS)
        if part <= self._at:
            heappush(self._present, entry)
        elif (others := self._later.get(part)) is not None:
            others.append(entry)
        else:
            self._later[part] = [entry]
            heappush(self._parts, part)

    def next_at(self) -> float:
        """The moment of the next entry; infinite: there is none."""
        if not self._present:
            if not self._parts:
                return inf
            self._at = heappop(self._parts)
            self._present = self._later.pop(self._at)
            heapify(self._present)
        return self._present[0][0]

    def pop(self) -> Entry:
        """Take out the next entry, whose moment was asked for."""
        return heappop(self._present)
