"""Reports of results: fenced by their assignment, judged by the policy, counted once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.errors import Conflict
from app.policy.states import Held, Said, TaskState, Verdict, after_failure, judge
from app.policy.task_ids import split
from app.scheduler import store
from app.scheduler.kept import Holding, KeptFarm
from app.scheduler.refusals import ResultContradicts, StaleAssignment, TaskNotInAssignment, ended
from app.scheduler.schemas import Result


@dataclass(slots=True)
class Counted:
    """What of a report counts: a task of an assignment, and what was said of it.

    `becomes` is the task's next state.
    """

    holding: Holding
    ordinal: int
    result: Result
    becomes: TaskState = TaskState.RUNNING


def weigh(holding: Holding, results: Sequence[Result]) -> list[Counted]:
    """What is new in a report on this assignment; `Conflict` if any of it must not count."""
    held = Held(
        holding.ordinals, set(holding.done), set(holding.failed), ended=holding.ended is not None
    )
    counted: dict[int, Counted] = {}
    for result in results:
        job_id, ordinal = split(result.task_id)
        mine = job_id == holding.job_id
        verdict = judge(held, ordinal, result.state) if mine else Verdict.NOT_IN_ASSIGNMENT
        if verdict is Verdict.COUNT:
            counted[ordinal] = Counted(holding, ordinal, result)
            remember(held, ordinal, result.state)
        elif verdict is not Verdict.KNOWN:
            raise refusal(verdict, holding, result.task_id)
    return list(counted.values())


def remember(held: Held | Holding, ordinal: int, said: Said) -> None:
    """Later results are judged by what this one said."""
    if said is Said.DONE:
        held.done.add(ordinal)
    elif said is Said.FAILED:
        held.failed.add(ordinal)


def fits(holding: Holding, assignment_id: int | None, results: Sequence[Result]) -> bool:
    """Whether a poll's results are of this assignment: the one named, else one with these tasks."""
    if assignment_id is not None:
        return holding.id == assignment_id
    tasks = [split(result.task_id) for result in results]
    return all(job == holding.job_id and task in holding.ordinals for job, task in tasks)


def of_poll(
    latest: Sequence[Holding], assignment_id: int | None, results: Sequence[Result]
) -> Holding:
    """The assignment that a poll's results belong to, of the agent's latest and the one named."""
    for holding in sorted(latest, key=lambda holding: holding.id, reverse=True):
        if fits(holding, assignment_id, results):
            return holding
    if assignment_id is not None:
        raise StaleAssignment(f"assignment {assignment_id} is not yours: drop that work")
    if any(holding.ended is None for holding in latest):
        raise TaskNotInAssignment("a task is not in your assignment: report only its own tasks")
    raise StaleAssignment("you hold no assignment: drop that work and ask without `results`")


async def count(
    connection: asyncpg.Connection, kept: KeptFarm, counted: list[Counted]
) -> Sequence[store.Judged]:
    """Let the kept farm know the news of all reports of a cycle; what the store has to write.

    Two reports on one task in the same cycle are one by now: an end after progress, or the same.
    """
    latest = {(one.holding.id, one.ordinal): one for one in counted}
    counted[:] = latest.values()
    failed = [one for one in counted if one.result.state is Said.FAILED]
    before = await _failures(connection, failed) if failed else {}
    said = [_row(kept, one, before) for one in counted]
    kept.settle({one.holding.id: one.holding for one in counted}.values())
    return said


def holding_of(row: Mapping[str, Any]) -> Holding:
    return Holding(
        row["id"],
        row["agent_id"],
        row["job_id"],
        row["ordinals"],
        set(row["done"]),
        set(row["failed"]),
        row["ended_because"],
    )


def refusal(verdict: Verdict, holding: Holding, task: int) -> Conflict:
    if holding.ended is not None:
        return ended(holding.id, holding.ended)
    if verdict is Verdict.CONTRADICTS:
        return ResultContradicts(f"task {task} was already reported otherwise")
    return TaskNotInAssignment(f"task {task} is not in assignment {holding.id}")


Failures = dict[tuple[int, int], tuple[int, frozenset[UUID]]]


async def _failures(connection: asyncpg.Connection, failed: Iterable[Counted]) -> Failures:
    """How often each task failed before, and by whom."""
    rows = await store.failures(connection, [(one.holding.job_id, one.ordinal) for one in failed])
    return {
        (row["job_id"], row["ordinal"]): (row["failures"], frozenset(row["failed_by"]))
        for row in rows
    }


def _row(kept: KeptFarm, one: Counted, before: Failures) -> store.Judged:
    """What the store writes of it, once the kept farm knows."""
    holding, result = one.holding, one.result
    if result.state is Said.DONE:
        one.becomes = TaskState.DONE
        kept.end_task(holding, one.ordinal, one.becomes, frozenset())
    elif result.state is Said.FAILED:
        failures, failed_by = before[holding.job_id, one.ordinal]
        one.becomes = after_failure(failures + 1, kept.jobs[holding.job_id].requeue)
        kept.end_task(holding, one.ordinal, one.becomes, failed_by | {holding.agent_id})
    return (
        holding.id,
        holding.agent_id,
        holding.job_id,
        one.ordinal,
        result.state,
        one.becomes,
        result.error,
        result.progress,
    )
