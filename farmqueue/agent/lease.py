"""How long an agent may count on its work, by its own clock."""

import asyncio
from dataclasses import dataclass

from farmqueue.model import Assignment, Heartbeat

_SHORTEST_HEARTBEAT = 0.05  # seconds; an answer that says 0 must not make a busy loop
_NEW = 1 / 10  # of a heartbeat


@dataclass(frozen=True)
class Lease:
    """Times in seconds; `since` and `deadline` on the event loop's clock.

    Until the deadline the service gives the work to nobody else, and there are `grace` seconds left
    then to end what runs.
    """

    heartbeat: float
    since: float
    deadline: float
    grace: float

    def is_new(self) -> bool:
        """Whether it was asked for a moment ago, by no poll that waited or was long on its way."""
        return _now() - self.since <= self.heartbeat * _NEW

    def is_over(self) -> bool:
        return _now() >= self.deadline


def granted(answer: Assignment | Heartbeat, since: float, grace: float) -> Lease:
    """The lease that an answer to a request sent at `since` grants.

    It is counted from then: how long the answer was on its way, nobody knows. Clocks of agent and
    service may differ: only lengths of time are taken from the answer. Ending what runs takes up to
    `grace` seconds, at most a quarter of the lease, which come off it.
    """
    heartbeat = max(float(answer["heartbeat_seconds"]), _SHORTEST_HEARTBEAT)
    length = float(answer["lease_seconds"])
    grace = min(grace, length / 4)
    return Lease(heartbeat, since, since + length - grace, grace)


def _now() -> float:
    return asyncio.get_running_loop().time()
