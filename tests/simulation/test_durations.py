"""Task times: as measured, the same for a seed, and longer than what they took already."""

from statistics import fmean, pstdev

import pytest

from app.simulation.durations import Durations, Model
from tests.policy.build import job

HOUR = Model.of(3_600, 0.5)


def test_they_have_the_mean_and_the_spread_that_is_given() -> None:
    durations = Durations(1, {}, HOUR)
    drawn = [durations(job(number), [ordinal]) for number in range(90) for ordinal in range(90)]
    assert fmean(drawn) == pytest.approx(3_600, rel=0.05)
    assert pstdev(drawn) == pytest.approx(1_800, rel=0.15)


def test_the_same_seed_gives_the_same_times_and_another_one_others() -> None:
    one, same, other = (Durations(seed, {}, HOUR) for seed in (1, 1, 2))
    tasks = [(job(3), [ordinal]) for ordinal in range(20)]
    assert [one(*task) for task in tasks] == [same(*task) for task in tasks]
    assert [one(*task) for task in tasks] != [other(*task) for task in tasks]


def test_a_job_has_its_own_times_and_a_batch_takes_as_long_as_its_tasks() -> None:
    durations = Durations(1, {7: Model.of(10, 0)}, Model.of(100, 0))
    assert durations(job(7), [0, 1, 2]) == pytest.approx(30)
    assert durations(job(8), [0]) == pytest.approx(100)


@pytest.mark.parametrize("elapsed", [0.0, 60.0, 3_600.0, 36_000.0, 1e7])
def test_what_runs_ends_later_than_now(elapsed: float) -> None:
    durations = Durations(1, {}, HOUR)
    left = [durations.left(job(1), [ordinal], elapsed) for ordinal in range(50)]
    assert min(left) > 0


def test_what_has_run_for_nearly_its_time_is_mostly_over_soon() -> None:
    durations = Durations(1, {}, Model.of(100, 0.1))
    left = sorted(durations.left(job(1), [ordinal], 95.0) for ordinal in range(99))
    assert left[0] > 0
    assert left[50] < 15
    assert durations.left(job(1), [0], 0.0) == durations(job(1), [0])


def test_times_without_spread_go_down_to_what_is_left() -> None:
    durations = Durations(1, {}, Model.of(100, 0))
    assert durations.left(job(1), [0], 40.0) == pytest.approx(60)
