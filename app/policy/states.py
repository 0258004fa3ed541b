"""States of jobs, tasks and agents, and what a report does to an assignment."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"


class TaskState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class AgentState(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"
    DRAINING = "draining"
    DISABLED = "disabled"


class Mode(StrEnum):
    """What an operator wants of an agent."""

    ENABLED = "enabled"
    DRAINING = "draining"
    DISABLED = "disabled"


class EndedBecause(StrEnum):
    """Why an assignment is over. All but the first two were taken back from the agent."""

    COMPLETED = "completed"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"
    AGENT_DISABLED = "agent_disabled"
    AGENT_OFFLINE = "agent_offline"
    AGENT_DELETED = "agent_deleted"
    JOB_STOPPED = "job_stopped"
    JOB_DELETED = "job_deleted"
    RESTORED = "restored"


def agent_state(mode: str, *, online: bool) -> AgentState:
    """What an operator forbade counts before what the agent does."""
    if mode == Mode.DISABLED:
        return AgentState.DISABLED
    if not online:
        return AgentState.OFFLINE
    return AgentState.DRAINING if mode == Mode.DRAINING else AgentState.ONLINE


def job_state(
    *, total: int, waiting: int, done: int, failed: int, assigned: int, paused: bool
) -> JobState:
    """A job's state from its counts; the first that holds, in this order."""
    if done == total:
        return JobState.DONE
    if waiting == 0 and done + failed == total:
        return JobState.FAILED
    if assigned > 0:
        return JobState.RUNNING
    return JobState.PAUSED if paused else JobState.QUEUED


def after_failure(failures: int, requeue: int) -> TaskState:
    """A task that failed `failures` times waits again up to `requeue` times (-1: forever)."""
    if requeue < 0 or failures <= requeue:
        return TaskState.WAITING
    return TaskState.FAILED


class Said(StrEnum):
    """What an agent may say of a task."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Verdict(StrEnum):
    COUNT = "count"
    KNOWN = "known"  # said before: answered as if it were new, and not counted
    NOT_IN_ASSIGNMENT = "not_in_assignment"
    CONTRADICTS = "contradicts"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Held:
    """An assignment as a report finds it: its ordinals, and what was said of them."""

    ordinals: Collection[int]
    done: set[int]
    failed: set[int]
    ended: bool


def judge(held: Held, ordinal: int, said: Said) -> Verdict:
    """What one reported result is worth: nothing counts twice, nothing counts after the end."""
    if ordinal not in held.ordinals:
        return Verdict.NOT_IN_ASSIGNMENT
    before = _said_before(held, ordinal)
    if held.ended and (before is None or said is Said.RUNNING):
        return Verdict.ENDED
    if before is None:
        return Verdict.COUNT
    if said is before or said is Said.RUNNING:
        return Verdict.KNOWN
    return Verdict.CONTRADICTS


def _said_before(held: Held, ordinal: int) -> Said | None:
    if ordinal in held.done:
        return Said.DONE
    return Said.FAILED if ordinal in held.failed else None
