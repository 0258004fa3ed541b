"""Reports of results: fenced by their assignment, judged by the policy, counted once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict
from app.policy.states import Held, Said, TaskState, Verdict, after_failure, judge
from app.policy.task_ids import split
from app.scheduler import store
from app.scheduler.schemas import Result


class StaleAssignment(Conflict):
    """The assignment has ended, other than by these results: the agent drops that work."""

    code = "stale_assignment"


class TaskNotInAssignment(Conflict):
    code = "task_not_in_assignment"


class ResultContradicts(Conflict):
    code = "result_contradicts"


@dataclass(slots=True)
class Counted:
    """What of a report counts; `becomes` is the task's next state."""

    assignment: RowMapping
    ordinal: int
    result: Result
    becomes: TaskState = TaskState.RUNNING


def weigh(assignment: RowMapping, results: Sequence[Result]) -> list[Counted]:
    """What is new in a report on this assignment; `Conflict` if any of it must not count."""
    held = Held(
        ordinals=frozenset(assignment["ordinals"]),
        done=set(assignment["done"]),
        failed=set(assignment["failed"]),
        ended=assignment["ended"],
    )
    counted: dict[int, Counted] = {}
    for result in results:
        job_id, ordinal = split(result.task_id)
        mine = job_id == assignment["job_id"]
        verdict = judge(held, ordinal, result.state) if mine else Verdict.NOT_IN_ASSIGNMENT
        if verdict is Verdict.COUNT:
            counted[ordinal] = Counted(assignment, ordinal, result)
            _remember(held, ordinal, result.state)
        elif verdict is not Verdict.KNOWN:
            raise refusal(verdict, assignment, result.task_id)
    return list(counted.values())


def of_poll(
    latest: Sequence[RowMapping], assignment_id: int | None, results: Sequence[Result]
) -> RowMapping:
    """The assignment that a poll's results belong to: the one named, else the latest that fits."""
    if assignment_id is not None:
        named = [row for row in latest if row["id"] == assignment_id]
        if not named:
            raise StaleAssignment(f"assignment {assignment_id} is not yours: drop that work")
        return named[0]
    tasks = {split(result.task_id) for result in results}
    for row in sorted(latest, key=lambda row: row["id"], reverse=True):
        if tasks <= {(row["job_id"], ordinal) for ordinal in row["ordinals"]}:
            return row
    if any(not row["ended"] for row in latest):
        raise TaskNotInAssignment("a task is not in your assignment: report only its own tasks")
    raise StaleAssignment("you hold no assignment: drop that work and ask without `results`")


async def count(connection: AsyncConnection, counted: Sequence[Counted]) -> list[int]:
    """Write a report's news; returns the ids of the assignments that are complete by it."""
    if not counted:
        return []
    failed = [one for one in counted if one.result.state is Said.FAILED]
    before = await store.failures(connection, [_task(one) for one in failed]) if failed else {}
    for one in counted:
        one.becomes = _becomes(one, before)
    return await store.report(connection, [_row(one) for one in counted])


def refusal(verdict: Verdict, assignment: RowMapping, task: int) -> Conflict:
    if verdict is Verdict.ENDED or assignment["ended"]:
        why = str(assignment["ended_because"]).replace("_", " ")
        return StaleAssignment(
            f"assignment {assignment['id']} has ended ({why}): drop that work and ask again"
        )
    if verdict is Verdict.CONTRADICTS:
        return ResultContradicts(f"task {task} was already reported otherwise")
    return TaskNotInAssignment(f"task {task} is not in assignment {assignment['id']}")


def _remember(held: Held, ordinal: int, said: Said) -> None:
    """Later results of the same report are judged by what this one said."""
    if said is Said.DONE:
        held.done.add(ordinal)
    elif said is Said.FAILED:
        held.failed.add(ordinal)


def _task(one: Counted) -> tuple[int, int]:
    return one.assignment["job_id"], one.ordinal


def _becomes(one: Counted, before: dict[tuple[int, int], tuple[int, int]]) -> TaskState:
    if one.result.state is not Said.FAILED:
        return TaskState(one.result.state)
    failures, requeue = before[_task(one)]
    return after_failure(failures + 1, requeue)


def _row(one: Counted) -> dict[str, Any]:
    return {
        "assignment_id": one.assignment["id"],
        "agent_id": str(one.assignment["agent_id"]),
        "job_id": one.assignment["job_id"],
        "ordinal": one.ordinal,
        "said": one.result.state,
        "becomes": one.becomes,
        "error": one.result.error,
        "progress": one.result.progress,
    }
