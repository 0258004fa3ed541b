"""States of jobs, tasks and agents, and what a report is worth."""

from itertools import product

import pytest

from app.policy.states import (
    AgentState,
    Held,
    JobState,
    Mode,
    Said,
    TaskState,
    Verdict,
    after_failure,
    agent_state,
    job_state,
    judge,
)

COUNTS = range(4)


def state_of(
    waiting: int, running: int, done: int, failed: int, assigned: int, *, paused: bool
) -> JobState:
    total = waiting + running + done + failed
    return job_state(
        total=total, waiting=waiting, done=done, failed=failed, assigned=assigned, paused=paused
    )


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("assigned", [0, 1])
def test_a_job_is_in_the_first_state_that_holds(assigned: int, paused: bool) -> None:
    for waiting, running, done, failed in product(COUNTS, repeat=4):
        if waiting + running + done + failed == 0:
            continue  # a job has tasks
        if waiting == running == failed == 0:
            expected = JobState.DONE
        elif waiting == running == 0:
            expected = JobState.FAILED
        elif assigned:
            expected = JobState.RUNNING
        else:
            expected = JobState.PAUSED if paused else JobState.QUEUED
        assert state_of(waiting, running, done, failed, assigned, paused=paused) is expected


@pytest.mark.parametrize(
    ("requeue", "waits_again"), [(0, []), (1, [1]), (3, [1, 2, 3]), (-1, list(range(1, 10)))]
)
def test_a_task_waits_again_until_it_failed_more_than_requeue_times(
    requeue: int, waits_again: list[int]
) -> None:
    after = {failures: after_failure(failures, requeue) for failures in range(1, 10)}
    assert [n for n, state in after.items() if state is TaskState.WAITING] == waits_again
    assert {after[n] for n in after if n not in waits_again} <= {TaskState.FAILED}


@pytest.mark.parametrize(
    ("mode", "online", "expected"),
    [
        (Mode.ENABLED, True, AgentState.ONLINE),
        (Mode.ENABLED, False, AgentState.OFFLINE),
        (Mode.DRAINING, True, AgentState.DRAINING),
        (Mode.DRAINING, False, AgentState.OFFLINE),
        (Mode.DISABLED, True, AgentState.DISABLED),
        (Mode.DISABLED, False, AgentState.DISABLED),
    ],
)
def test_what_an_operator_forbade_counts_before_what_the_agent_does(
    mode: Mode, online: bool, expected: AgentState
) -> None:
    assert agent_state(mode, online=online) is expected


# The task that the report speaks of is 5; 6 is another of the assignment.
VERDICTS = {
    # said before, ended: what the report says now → what it is worth
    (None, False): {"running": "count", "done": "count", "failed": "count"},
    ("done", False): {"running": "known", "done": "known", "failed": "contradicts"},
    ("failed", False): {"running": "known", "done": "contradicts", "failed": "known"},
    (None, True): {"running": "ended", "done": "ended", "failed": "ended"},
    ("done", True): {"running": "ended", "done": "known", "failed": "contradicts"},
    ("failed", True): {"running": "ended", "done": "contradicts", "failed": "known"},
}


@pytest.mark.parametrize("before", [None, "done", "failed"])
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("said", Said)
def test_a_result_is_worth(before: str | None, ended: bool, said: Said) -> None:
    done, failed = ({5} if before == word else set[int]() for word in ("done", "failed"))
    held = Held(ordinals=[5, 6], done=done, failed=failed, ended=ended)
    assert judge(held, 5, said) is Verdict(VERDICTS[before, ended][said])


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("said", Said)
def test_a_task_of_another_assignment_is_never_counted(ended: bool, said: Said) -> None:
    held = Held(ordinals=range(10, 12), done={10}, failed={11}, ended=ended)
    assert judge(held, 5, said) is Verdict.NOT_IN_ASSIGNMENT


@pytest.mark.parametrize("said", Said)
def test_what_was_said_of_another_task_does_not_matter(said: Said) -> None:
    assert judge(Held([5, 6], done={6}, failed=set(), ended=False), 5, said) is Verdict.COUNT
