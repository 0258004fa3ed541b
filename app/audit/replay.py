"""The history played back: at every instant the rules must have held.

Each node keeps the number of its agents, so that an assignment costs as many steps as its job is
deep. Memory grows with the queues and jobs that the history tells of, not with its length. Where
the beginning is not kept any more, what cannot be known is not judged, and counted as such.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.audit.findings import Check, Findings
from app.audit.tree import Circle, JobNode, Tree, count, path

Row = Mapping[str, Any]

IN_QUEUE, IN_JOB = "parent_jobqueue_id", "job_queue_id"


@dataclass(slots=True, eq=False)
class Open:
    """An assignment that is not over; the ordinals left, None where it is from before."""

    agent: str
    job: JobNode
    left: set[int] | None


@dataclass(slots=True)
class Replay:
    """What the history has told so far. Assignments below `first_made` are from before it."""

    findings: Findings = field(default_factory=Findings)
    first_made: int = 0
    tree: Tree = field(default_factory=Tree)
    open: dict[int, Open] = field(default_factory=dict)
    made: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    _holds: dict[str, int] = field(default_factory=dict)

    def play(self, rows: Iterable[Row]) -> None:
        """Rows in the order of their ids, `detail` as an object."""
        handles = self._handles()
        for row in rows:
            handle = handles.get(row["action"])
            if handle is not None:
                handle(row)

    def begin_with(self, assignment_id: int, agent: str, job_id: int) -> None:
        """An assignment that was made before, and is not over."""
        self._open(assignment_id, Open(agent, self.tree.job(job_id), None))

    def unknown_jobs(self, rows: Iterable[Row]) -> list[int]:
        """Jobs of which nothing is known yet, and whose submission is not among the rows."""
        ids: dict[int, None] = {}
        known = self.tree.jobs.keys()
        for row in rows:
            job_id = row["job_id"]
            if job_id is not None and job_id not in known:
                ids[job_id] = None
        for row in rows:
            if row["action"] == "job.submitted":
                ids.pop(row["job_id"], None)
        return list(ids)

    def end(self, active: set[int]) -> None:
        """What is open by now must be what is active in truth."""
        for assignment_id in sorted(self.open.keys() - active):
            self._find(Check.ASSIGNMENT_NEVER_CLOSED, assignment_id, "is over without an end")
        for assignment_id in sorted(active - self.open.keys()):
            told = "is active, and its beginning is not in the history, or its end is"
            self._find(Check.ASSIGNMENT_NEVER_CLOSED, assignment_id, told)

    def _handles(self) -> Mapping[str, Callable[[Row], None]]:
        return {
            "jobqueue.created": self._jobqueue_set,
            "jobqueue.changed": self._jobqueue_set,
            "jobqueue.deleted": self._jobqueue_deleted,
            "job.submitted": self._job_set,
            "job.changed": self._job_set,
            "job.rerun": self._job_rerun,
            "job.rerun_failed": self._job_rerun_failed,
            "job.deleted": self._job_deleted,
            "assignment.made": self._assignment_made,
            "assignment.reported": self._assignment_reported,
            "assignment.ended": self._assignment_ended,
        }

    # --- the farm ---

    def _jobqueue_set(self, row: Row) -> None:
        node = self.tree.queue(row["job_queue_id"])
        fields = row["detail"].get("to", row["detail"])
        try:
            self.tree.set(node, fields, IN_QUEUE)
        except Circle:
            told = f"moved below itself, in row {row['id']} of the history"
            self.findings.add(Check.QUEUE_CYCLE, node.name, told)

    def _jobqueue_deleted(self, row: Row) -> None:
        self.tree.queues.pop(row["job_queue_id"], None)

    def _job_set(self, row: Row) -> None:
        node = self.tree.job(row["job_id"])
        self.tree.set(node, row["detail"].get("to", row["detail"]), IN_JOB)

    def _job_rerun(self, row: Row) -> None:
        self.tree.job(row["job_id"]).rerun()

    def _job_rerun_failed(self, row: Row) -> None:
        self.tree.job(row["job_id"]).rerun_failed()

    def _job_deleted(self, row: Row) -> None:
        self.tree.jobs.pop(row["job_id"], None)

    # --- the work ---

    def _assignment_made(self, row: Row) -> None:
        assignment_id, agent = row["assignment_id"], str(row["agent_id"])
        job, ordinals = self.tree.job(row["job_id"]), set(row["detail"]["tasks"])
        self.made += 1
        if agent in self._holds:
            told = f"came to agent {agent} beside assignment {self._holds[agent]}"
            self._find(Check.AGENT_ASSIGNED_TWICE, assignment_id, told)
        self._judge_limits(assignment_id, job)
        for ordinal in sorted(ordinals):
            if job.ended(ordinal):
                told = f"has task {ordinal} of {job.name}, which had ended"
                self._find(Check.TASK_ENDED_TWICE, assignment_id, told)
            elif ordinal in job.running:
                told = f"has task {ordinal} of {job.name}, which was running"
                self._find(Check.TASK_ASSIGNED_TWICE, assignment_id, told)
        job.running |= ordinals
        self._open(assignment_id, Open(agent, job, ordinals))

    def _judge_limits(self, assignment_id: int, job: JobNode) -> None:
        known = True
        for node in path(job):
            known &= node.known
            if node.full:
                told = f"came to {node.name}, which had all of its maximum: {node.assigned} agents"
                self._find(Check.MAXIMUM_PASSED, assignment_id, told)
        self.unjudged["assignments with a maximum that is not known"] += not known

    def _assignment_reported(self, row: Row) -> None:
        assignment_id, detail = row["assignment_id"], row["detail"]
        held = self._held(row, Check.REPORT_AFTER_END, "was reported, and was not open")
        if held is None:
            return
        for ordinal in detail["done"]:
            self._end_task(assignment_id, held, ordinal)
            held.job.done.add(ordinal, held.job.settings.get("tasks_total"))
        for ordinal in detail["failed"]:
            self._end_task(assignment_id, held, ordinal)
            held.job.fail(ordinal)
        if detail["ended"]:
            self._close(assignment_id)

    def _end_task(self, assignment_id: int, held: Open, ordinal: int) -> None:
        job = held.job
        if held.left is not None and ordinal not in held.left:
            told = f"reported task {ordinal} of {job.name} a second time, or it was not of it"
            self._find(Check.TASK_ENDED_TWICE, assignment_id, told)
        elif job.ended(ordinal):
            told = f"reported task {ordinal} of {job.name}, which had ended"
            self._find(Check.TASK_ENDED_TWICE, assignment_id, told)
        if held.left is not None:
            held.left.discard(ordinal)
        job.running.discard(ordinal)

    def _assignment_ended(self, row: Row) -> None:
        held = self._held(row, Check.ASSIGNMENT_CLOSED_TWICE, "ended, and was not open")
        if held:
            held.job.failed.update(row["detail"].get("set_aside", ()))
            self._close(row["assignment_id"])

    # --- parts of them ---

    def _held(self, row: Row, check: Check, told: str) -> Open | None:
        """The row's assignment if it is open; if it is not, that is found, unless from before."""
        held = self.open.get(row["assignment_id"])
        if held is None and row["assignment_id"] < self.first_made:
            self.unjudged["ends of assignments from before"] += 1
        elif held is None:
            self._find(check, row["assignment_id"], f"{told}, in row {row['id']} of the history")
        return held

    def _open(self, assignment_id: int, held: Open) -> None:
        self.open[assignment_id] = held
        self._holds[held.agent] = assignment_id
        count(held.job, 1)

    def _close(self, assignment_id: int) -> None:
        held = self.open.pop(assignment_id)
        if self._holds.get(held.agent) == assignment_id:
            del self._holds[held.agent]
        held.job.running -= held.left or set()
        count(held.job, -1)

    def _find(self, check: Check, assignment_id: int, told: str) -> None:
        self.findings.add(check, f"assignment {assignment_id}", told)
