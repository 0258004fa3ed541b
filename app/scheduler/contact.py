"""Whether silence of an agent is its own: the farm must have been able to hear it.

Where the database was away, busy or cut off, or this process slept, no heartbeat could be recorded,
and leases of agents that live have run out. They get one lease's time to be heard again. Each
process judges by its own clock and its own way to the database.
"""

from collections.abc import Callable
from dataclasses import dataclass

from app.clock import steady


@dataclass(slots=True, eq=False)
class Contact:
    """How long the database has been in reach without a break, looked at every so often."""

    lease_seconds: float
    look_seconds: float
    clock: Callable[[], float] = steady
    _since: float | None = None
    _last: float = 0.0

    def reached(self) -> None:
        now = self.clock()
        if self._since is None or now - self._last > self._longest_gap:
            self._since = now
        self._last = now

    def lost(self) -> None:
        self._since = None

    @property
    def _longest_gap(self) -> float:
        """Agents call three times within a lease: who missed one call has not lost it yet."""
        return self.look_seconds + self.lease_seconds / 3

    @property
    def trusted(self) -> bool:
        """Whether whoever is silent by now could have been heard."""
        return self._since is not None and self._last - self._since >= self.lease_seconds
