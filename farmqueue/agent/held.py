"""What an agent holds: an assignment, its lease, and the results that the service lacks yet."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from farmqueue.agent.command import Group
from farmqueue.agent.lease import Lease
from farmqueue.model import Assignment, Result

_PROGRESS_EVERY = 2.0  # seconds
_LONGEST_ERROR = 8_000  # characters; the service refuses a report with a much longer one
_LONG_ERRORS = 200  # of an assignment; all together must fit into one report of 10 MB
_SHORT_ERROR = 200  # characters of the rest


@dataclass
class Held:
    """An assignment in progress; `news` is set while there is something to report."""

    assignment: Assignment
    lease: Lease
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _unconfirmed: dict[int, Result] = field(default_factory=dict)
    _next_progress: float = 0.0
    _progress_is_due: bool = False
    _errors: int = 0

    @property
    def id(self) -> int:
        return self.assignment["id"]

    def settle(self, group: Group, error: str | None) -> None:
        """Note that the tasks of a group are done, or failed with the given error."""
        for task in group:
            self._unconfirmed[task["id"]] = (
                Result(task_id=task["id"], state="done")
                if error is None
                else Result(task_id=task["id"], state="failed", error=self._told(error))
            )
        self.news.set()

    def _told(self, error: str) -> str:
        """The error, cut short once many were told: its beginning says how the command ended."""
        self._errors += 1
        return error[: _LONGEST_ERROR if self._errors <= _LONG_ERRORS else _SHORT_ERROR]

    def only_ended(self) -> "Held | None":
        """The same without what had not ended; None where nothing had."""
        ended = {
            task_id: result
            for task_id, result in self._unconfirmed.items()
            if result["state"] != "running"
        }
        return Held(self.assignment, self.lease, _unconfirmed=ended) if ended else None

    def progress(self, group: Group, share: float) -> None:
        """Note how far a group is (0 to 1); said at once only when the last was some time ago."""
        for task in group:
            self._unconfirmed[task["id"]] = Result(
                task_id=task["id"], state="running", progress=share
            )
        loop = asyncio.get_running_loop()
        if not self._progress_is_due:
            self._progress_is_due = True
            loop.call_at(max(loop.time(), self._next_progress), self._say_progress)

    def _say_progress(self) -> None:
        self._progress_is_due = False
        self._next_progress = asyncio.get_running_loop().time() + _PROGRESS_EVERY
        self.news.set()

    def unconfirmed(self) -> list[Result]:
        """The results that the service has not confirmed."""
        return list(self._unconfirmed.values())

    def confirmed(self, results: Iterable[Result]) -> None:
        """Forget results that the service has; newer ones of the same tasks stay."""
        for result in results:
            if self._unconfirmed.get(result["task_id"]) is result:
                del self._unconfirmed[result["task_id"]]
