"""Which tasks go out together."""

from typing import Any
from uuid import UUID

from app.policy.batch import next_batch, takes_any
from app.policy.fit import Agent, Requirements
from app.policy.ordinals import Ordinals, runs
from app.policy.tree import Job
from tests.policy.build import agent, job

NEWCOMER = agent(9)


def batch(work: Job, taker: Agent = NEWCOMER, *others: Agent) -> list[int]:
    return next_batch(work, taker, (taker, *others))


def frames_of(work: Job) -> list[Any]:
    return [work.frame(ordinal) for ordinal in batch(work)]


def test_a_batch_is_the_first_waiting_tasks() -> None:
    assert batch(job(1, frames="1-10", batch=3)) == [0, 1, 2]


def test_a_batch_of_one_is_the_next_task() -> None:
    assert batch(job(1, waiting=Ordinals([(4, 7)]))) == [4]


def test_the_last_batch_is_what_is_left() -> None:
    assert batch(job(1, frames="1-10", batch=5, waiting=Ordinals([(8, 10)]))) == [8, 9]


def test_tiles_of_a_frame_go_out_before_the_next_frame() -> None:
    work = job(1, frames="1-3", num_tiles=2, batch=3)
    assert batch(work) == [0, 1, 2]
    assert frames_of(work) == [1, 1, 2]


def test_a_contiguous_batch_stops_at_a_task_that_does_not_wait() -> None:
    waiting = Ordinals(runs([0, 1, 3, 4]))
    assert batch(job(1, batch=4, waiting=waiting)) == [0, 1]


def test_a_contiguous_batch_stops_at_a_gap_between_frames() -> None:
    assert frames_of(job(1, frames="1-2,4-5", batch=4)) == [1, 2]


def test_a_contiguous_batch_goes_on_by_the_step_of_the_job() -> None:
    assert frames_of(job(1, frames="1-9x2", by=2, batch=3)) == [1, 3, 5]
    assert frames_of(job(1, frames="1-9x2", by=1, batch=3)) == [1]
    assert frames_of(job(1, frames="1-4", by=2, batch=3)) == [1], "2 waits, so that 3 is not next"


def test_tiles_are_no_gap() -> None:
    waiting = Ordinals(runs([1, 4, 5, 9]))
    work = job(1, frames="1-4", num_tiles=3, batch=9, waiting=waiting)
    assert frames_of(work) == [1, 2, 2]
    assert batch(work) == [1, 4, 5], "9 is of frame 4: frame 3 does not wait"


def test_other_batches_jump_over_gaps() -> None:
    waiting = Ordinals(runs([0, 1, 3, 9]))
    assert batch(job(1, batch=3, batch_contiguous=False, waiting=waiting)) == [0, 1, 3]


# --- a task that failed is not offered again to an agent that failed it ---


def failed(by: dict[int, list[Agent]], **settings: Any) -> Job:
    """A job of four tasks, some of which agents failed."""
    failed_by = {n: frozenset(agent.id for agent in agents) for n, agents in by.items()}
    return job(1, frames="1-4", failed_by=failed_by, **settings)


def test_an_agent_is_not_offered_what_it_failed_while_another_could_try() -> None:
    work = failed({0: [agent(1)]})
    assert batch(work, agent(1), agent(2)) == [1]
    assert batch(work, agent(2), agent(1)) == [0]


def test_a_failed_task_in_the_middle_is_a_gap_for_who_failed_it() -> None:
    work = failed({1: [agent(1)]}, batch=4)
    assert batch(work, agent(1), agent(2)) == [0]
    assert batch(work, agent(2), agent(1)) == [0, 1, 2, 3]


def test_once_every_agent_failed_it_all_may_try_again() -> None:
    work = failed({0: [agent(1), agent(2)]})
    assert batch(work, agent(1), agent(2)) == [0]
    assert batch(work, agent(2), agent(1)) == [0]


def test_the_only_agent_tries_again() -> None:
    assert batch(failed({0: [agent(1)]}), agent(1)) == [0]


def test_an_agent_that_does_not_meet_the_requirements_is_no_other_that_could_try() -> None:
    work = failed({0: [agent(1)]}, requirements=Requirements(required_tags=frozenset({"gpu"})))
    assert batch(work, agent(1, tags="gpu"), agent(2)) == [0]
    assert batch(work, agent(1, tags="gpu"), agent(2, tags="gpu")) == [1]


def test_a_job_is_closed_to_an_agent_that_failed_all_that_waits() -> None:
    work = failed({0: [agent(1)], 1: [agent(1)]}, waiting=Ordinals([(0, 2)]))
    assert not takes_any(work, agent(1), [agent(1), agent(2)])
    assert takes_any(work, agent(2), [agent(1), agent(2)])
    assert takes_any(work, agent(1), [agent(1)])


def test_a_job_is_closed_when_nothing_waits() -> None:
    assert not takes_any(job(1, waiting=Ordinals()), agent(), [agent()])


def test_a_million_waiting_tasks_are_not_walked_for_one_batch() -> None:
    class Counted(dict[int, frozenset[UUID]]):
        looked_at = 0

        def get(self, ordinal: int, default: Any = None) -> Any:
            self.looked_at += 1
            return super().get(ordinal, default)

    work = job(1, frames="1-1000000", batch=3, failed_by=(seen := Counted()))
    assert batch(work) == [0, 1, 2]
    assert seen.looked_at == 3
