"""A task's id is its job's id and its ordinal."""

from hypothesis import given
from hypothesis import strategies as st

from app.policy.frames import MAX_FRAMES
from app.policy.task_ids import split, task_id

jobs = st.integers(1, 2**40)
ordinals = st.integers(0, MAX_FRAMES - 1)


@given(jobs, ordinals)
def test_a_task_id_can_be_split_again(job: int, ordinal: int) -> None:
    assert split(task_id(job, ordinal)) == (job, ordinal)


@given(jobs, ordinals, ordinals)
def test_task_ids_go_by_job_then_ordinal(job: int, one: int, other: int) -> None:
    assert (task_id(job, one) < task_id(job, other)) == (one < other)
    assert task_id(job, one) < task_id(job + 1, other)


def test_the_ids_of_the_largest_job_fit_in_64_bits() -> None:
    assert task_id(2**43 - 1, MAX_FRAMES - 1) < 2**63
