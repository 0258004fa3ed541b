"""Kinds of work: a farm's distinct requirements, each a pair of bits, so that sets are integers.

The lower bit of a pair says that work of this kind is open, the upper one that it is owed. How a
node stands is one integer of such bits, and so is an agent: the open bits of what it meets.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from operator import or_

from app.policy.fit import Agent, Requirements, meets_but_for_ram

# Kinds that no job has at the moment, kept for the next job that asks for the same.
SPARE = 32

# What agents of so many sorts (cpus and tags) meet is remembered.
MOST_LIKE = 4_096


def owed(open_bits: int) -> int:
    """The owed bits of the same kinds."""
    return open_bits << 1


@dataclass(slots=True)
class _Kind:
    bit: int  # the open one
    jobs: int = 0


class Kinds:
    """The requirements of all jobs. Bits are given anew once nobody has them."""

    def __init__(self) -> None:
        self.open_bits = 0  # of every kind there is
        self.given_anew = 0  # how often bits were freed, so that another kind may have them now
        self._kinds: dict[Requirements, _Kind] = {}
        self._spare: set[Requirements] = set()
        self._met: dict[tuple[int, frozenset[str]], tuple[list[int], list[int]]] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def join(self, required: Requirements) -> int:
        """The open bit of these requirements, which one more job has."""
        kind = self._kinds.get(required)
        if kind is None:
            kind = self._kinds[required] = _Kind(self._unused())
            self.open_bits |= kind.bit
            self._met.clear()
        elif kind.jobs == 0:
            self._spare.discard(required)
        kind.jobs += 1
        return kind.bit

    def leave(self, required: Requirements) -> None:
        """One job less has these requirements."""
        kind = self._kinds[required]
        kind.jobs -= 1
        if kind.jobs == 0:
            self._spare.add(required)
        if len(self._spare) > SPARE:
            self._forget()

    def met_by(self, agent: Agent) -> int:
        """The open bits of all kinds that the agent meets."""
        rams, bits = self._like(agent)
        return bits[bisect_right(rams, agent.free_ram)]

    def least_ram(self, agent: Agent, open_bits: int) -> int | None:
        """The memory with which an agent of its cpus and tags meets one of these; None: none."""
        rams, bits = self._like(agent)
        return next((ram for ram, met in zip(rams, bits[1:], strict=True) if met & open_bits), None)

    def _like(self, agent: Agent) -> tuple[list[int], list[int]]:
        like = (agent.cpus, agent.tags)
        found = self._met.get(like)
        if found is None:
            if len(self._met) >= MOST_LIKE:
                self._met.clear()
            found = self._met[like] = self._by_ram(agent)
        return found

    def _by_ram(self, agent: Agent) -> tuple[list[int], list[int]]:
        """Steps of memory, ascending, and what is met below the first and from each step on."""
        met = [
            (required.ram, kind.bit)
            for required, kind in self._kinds.items()
            if meets_but_for_ram(agent, required)
        ]
        met.sort()
        return [ram for ram, _ in met], list(accumulate((bit for _, bit in met), or_, initial=0))

    def _unused(self) -> int:
        """The lowest pair of bits that nobody has."""
        taken = self.open_bits | owed(self.open_bits)
        return ~taken & (taken + 1)

    def _forget(self) -> None:
        for required in self._spare:
            self.open_bits &= ~self._kinds.pop(required).bit
        self._spare.clear()
        self._met.clear()
        self.given_anew += 1
