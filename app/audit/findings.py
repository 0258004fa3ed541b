"""What an audit can find, and what to do about each."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# Of each check: a farm that is wrong everywhere is to be looked at, not to be listed.
LISTED = 1_000


class Check(StrEnum):
    """The recount's first, then those of the replay."""

    JOB_COUNTS = "job_counts"
    WAITING_TASKS = "waiting_tasks"
    JOB_PROGRESS = "job_progress"
    AGENT_HELD_TWICE = "agent_held_twice"
    ASSIGNMENT_TASKS = "assignment_tasks"
    TASK_NOT_HELD = "task_not_held"
    ASSIGNMENT_STRAY = "assignment_stray"
    TASK_STRAY = "task_stray"
    QUEUE_FULLPATH = "queue_fullpath"
    QUEUE_CYCLE = "queue_cycle"
    MAXIMUM_PASSED = "maximum_passed"
    AGENT_ASSIGNED_TWICE = "agent_assigned_twice"
    TASK_ENDED_TWICE = "task_ended_twice"
    TASK_ASSIGNED_TWICE = "task_assigned_twice"
    ASSIGNMENT_CLOSED_TWICE = "assignment_closed_twice"
    ASSIGNMENT_NEVER_CLOSED = "assignment_never_closed"
    REPORT_AFTER_END = "report_after_end"


RECOUNT = tuple(Check)[: list(Check).index(Check.MAXIMUM_PASSED)]

_RERUN = "stop the job's work (pause it with stop), then rerun it: both count anew"
_END = "release the assignment, or set its agent offline: its tasks wait again"
_BY_HAND = "restart every service if somebody changed rows by hand"
_REPORT = "the service broke a rule: please report it with the history of what is named"

ADVICE: Mapping[Check, str] = {
    Check.JOB_COUNTS: f"{_RERUN}; {_BY_HAND}",
    Check.WAITING_TASKS: f"{_RERUN}; {_BY_HAND}",
    Check.JOB_PROGRESS: f"delete the job, or all rows in psql but the latest version; {_BY_HAND}",
    Check.AGENT_HELD_TWICE: f"release all but the latest: their tasks wait again; {_BY_HAND}",
    Check.ASSIGNMENT_TASKS: f"{_END}; {_BY_HAND}",
    Check.TASK_NOT_HELD: f"{_RERUN}; {_BY_HAND}",
    Check.ASSIGNMENT_STRAY: f"{_END}; {_BY_HAND}",
    Check.TASK_STRAY: "delete the tasks with this job_id in psql; no service reads them",
    Check.QUEUE_FULLPATH: "rename the topmost queue named here to another name and back",
    Check.QUEUE_CYCLE: "set parent_jobqueue_id of one of them to NULL in psql, then move it",
    **dict.fromkeys(tuple(Check)[len(RECOUNT) :], _REPORT),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with what; a line of an operator's list."""

    check: Check
    subject: str
    detail: str


@dataclass(slots=True)
class Findings:
    """Those of an audit: all are counted, the first `LISTED` of each check are kept."""

    kept: list[Finding] = field(default_factory=list)
    counted: Counter[Check] = field(default_factory=Counter)

    def add(self, check: Check, subject: str, detail: str) -> None:
        self.counted[check] += 1
        if self.counted[check] <= LISTED:
            self.kept.append(Finding(check, subject, detail))

    def add_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of a statement that names what is wrong: `check`, `subject` and `detail`."""
        for row in rows:
            self.add(Check(row["check"]), row["subject"], row["detail"])

    def __bool__(self) -> bool:
        return bool(self.counted)
