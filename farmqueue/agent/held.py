"""What an agent holds: an assignment, its lease, and the results that the service lacks yet."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from farmqueue.agent.command import Group
from farmqueue.agent.lease import Lease
from farmqueue.model import Assignment, Result

_PROGRESS_EVERY = 2.0  # seconds
_LONGEST_ERROR = 8_000  # characters; the service refuses a report with a much longer one


@dataclass
class Held:
    """An assignment in progress; `news` is set while there is something to report."""

    assignment: Assignment
    lease: Lease
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _unconfirmed: dict[int, Result] = field(default_factory=dict)
    _next_progress: float = 0.0

    @property
    def id(self) -> int:
        return self.assignment["id"]

    def settle(self, group: Group, error: str | None) -> None:
        """Note that the tasks of a group are done, or failed with the given error."""
        for task in group:
            self._unconfirmed[task["id"]] = (
                Result(task_id=task["id"], state="done")
                if error is None
                else Result(task_id=task["id"], state="failed", error=error[:_LONGEST_ERROR])
            )
        self.news.set()

    def progress(self, group: Group, share: float) -> None:
        """Note how far a group is (0 to 1); said at once only when the last was some time ago."""
        for task in group:
            self._unconfirmed[task["id"]] = Result(
                task_id=task["id"], state="running", progress=share
            )
        now = asyncio.get_running_loop().time()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_EVERY
            self.news.set()

    def unconfirmed(self) -> list[Result]:
        """The results that the service has not confirmed."""
        return list(self._unconfirmed.values())

    def confirmed(self, results: Iterable[Result]) -> None:
        """Forget results that the service has; newer ones of the same tasks stay."""
        for result in results:
            if self._unconfirmed.get(result["task_id"]) is result:
                del self._unconfirmed[result["task_id"]]
