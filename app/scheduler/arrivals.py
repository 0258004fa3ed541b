"""Polls that came and are in no cycle yet, and how many of them the next cycle takes."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from app.scheduler.polls import Poll

CROWD = 16  # polls that come with nothing to report, in one cycle, where fewer than twice it report
CROWD_ALONE = 256  # where none reports


@dataclass(slots=True, eq=False)
class Arrivals:
    """In the order in which they came, those that report apart from all others."""

    _reporting: list[Poll] = field(default_factory=list)
    _asking: deque[Poll] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._reporting) + len(self._asking)

    def add(self, poll: Poll) -> None:
        (self._reporting if poll.request.results else self._asking).append(poll)

    def take(self) -> dict[UUID, Poll]:
        """For one cycle, one an agent: all that report, and half as many of those that only ask.

        So a crowd that comes at once does not slow those that work to half of their speed. A second
        poll of the same agent comes in the next cycle.
        """
        taken: dict[UUID, Poll] = {}
        self._reporting = _take(self._reporting, taken)
        room = max(CROWD, len(taken) // 2) if taken else CROWD_ALONE
        some = [self._asking.popleft() for _ in range(min(room, len(self._asking)))]
        self._asking.extendleft(reversed(_take(some, taken)))
        return taken


def _take(polls: Iterable[Poll], taken: dict[UUID, Poll]) -> list[Poll]:
    """Take these, unless their client is gone; those of agents that have one already are left."""
    left: list[Poll] = []
    for poll in polls:
        if poll.request.agent_id in taken:
            left.append(poll)
        elif not poll.answer.done():
            taken[poll.request.agent_id] = poll
    return left
