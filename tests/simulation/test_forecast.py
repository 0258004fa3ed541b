"""What is expected of jobs, by pictures that are made up, and how it is packed and looked up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf, isnan
from typing import Any
from uuid import UUID

import pytest

from app.simulation.durations import Model
from app.simulation.estimates import Latest
from app.simulation.forecast import PLAYS, Play, Spent, pack, play, plays, rows
from app.simulation.picture import Picture

MINUTE = Model.of(60, 0)


def job(number: int, tasks: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "title": f"job {number}", "job_queue_id": None, "priority": 0, "weight": 10,
        "minimum_agents": None, "maximum_agents": None, "paused": False, "frames": f"1-{tasks}",
        "waiting": f"{{[0,{tasks})}}", "num_tiles": 1, "by": Decimal(1), "batch": 1,
        "batch_contiguous": True, "parents": [], "cpus": 1, "ram": 32, "required_tags": [],
        "excluded_tags": [], "tasks_failed": 0, "tasks_done": 0, **more,
    }  # fmt: skip


def agent(number: int) -> dict[str, Any]:
    return {
        "id": UUID(int=number), "cpus": 8, "ram": 1_000, "free_ram": 1_000, "tags": [],
        "job_queue_id": None, "mode": "enabled", "job_id": None, "ordinals": [], "elapsed": None,
    }  # fmt: skip


def picture(*jobs: dict[str, Any], agents: int = 4, model: Model | None = MINUTE) -> Picture:
    return Picture(
        jobs={row["id"]: row for row in jobs},
        agents=[agent(number) for number in range(1, agents + 1)],
        any_model=model,
    )


def expected(farm: Picture) -> dict[int, list[float]]:
    found = rows(farm, [play(farm, seed) for seed in range(PLAYS)])
    return {int(number): more for number, *more in found}


def test_one_job_after_the_other_by_priority() -> None:
    found = expected(picture(job(1, 8), job(2, 4), job(3, 40, priority=9)))
    assert found[3][:3] == pytest.approx([0, 0, 0])
    assert found[3][5] == pytest.approx(600)
    assert {one: found[one][0] for one in (1, 2)} in ({1: 40, 2: 41}, {1: 41, 2: 40})
    assert found[1][2] == found[2][2] == pytest.approx(600)
    assert found[1][5] == pytest.approx(780)
    assert found[2][5] == pytest.approx(720, abs=61)


def test_what_is_measured_of_a_job_goes_before_what_is_known_of_others() -> None:
    farm = picture(job(1, 4), job(2, 4), agents=8)
    farm.models[2] = Model.of(600, 0)
    assert {one: row[5] for one, row in expected(farm).items()} == pytest.approx({1: 60, 2: 600})


def test_what_waits_for_what_never_comes_is_not_expected() -> None:
    paused = job(1, 4, paused=True)
    assert expected(picture(paused, job(2, 4, parents=[1]), job(3, 4, cpus=99))) == {}


def test_times_that_nothing_was_measured_for_are_unknown_but_places_are_known() -> None:
    [row] = expected(picture(job(1, 4), model=None)).values()
    assert row[0] == 0
    assert all(map(isnan, row[1:]))


def test_what_lies_beyond_the_horizon_is_unknown() -> None:
    found = expected(picture(job(1, 4 * 60 * 80), job(2, 1, priority=-1)))  # 80 hours of work
    assert found.keys() == {1}
    assert found[1][2] == 0
    assert isnan(found[1][5])


def test_a_play_that_has_no_time_left_says_how_far_it_came() -> None:
    farm = picture(job(1, 4_000))
    [stopped] = plays(farm, Spent(), deadline=0, number=1)
    assert stopped.reached == 0
    whole = play(farm, 0)
    assert whole.reached == 72 * 3_600


@pytest.mark.parametrize(
    ("processor", "clock", "spent"), [(5.0, 6.0, 5.0), (1.0, 30.0, 10.0), (0.0, 0.0, 0.0)]
)
def test_where_others_want_the_processor_it_has_more_of_the_clock(
    monkeypatch: pytest.MonkeyPatch, processor: float, clock: float, spent: float
) -> None:
    told = Spent()
    told._processor, told._clock = 100.0, 1_000.0
    monkeypatch.setattr("time.process_time", lambda: 100.0 + processor)
    monkeypatch.setattr("time.monotonic", lambda: 1_000.0 + clock)
    found = told()
    monkeypatch.undo()
    assert found == spent


def test_what_one_play_did_not_come_to_is_unknown_though_others_did() -> None:
    farm = picture(job(1, 1), job(2, 1))
    told = [Play(reached, {1: (0, 0, 50), 2: (1, 10, 100)}) for reached in (1_000.0, 60.0, 1_000.0)]
    (_, _, *first), (_, _, *second) = rows(farm, told)
    assert first[3:] == pytest.approx([50, 50, 50], rel=4)
    assert not isnan(second[1])
    assert isnan(second[4])


def test_plays_draw_how_far_measured_times_are_off() -> None:
    certain = expected(picture(job(1, 400), model=Model(4, 0.5, 0)))[1]
    doubted = expected(picture(job(1, 400), model=Model(4, 0.5, 0.5)))[1]
    assert (doubted[5] - doubted[4]) > (certain[5] - certain[4])
    lowest, *_, highest = sorted(
        play(picture(job(1, 400), model=Model(4, 0.5, 0.5)), seed).jobs[1][2] for seed in range(9)
    )
    assert highest > 1.5 * lowest


def test_a_look_finds_the_job_and_none_that_is_not_there() -> None:
    nan = float("nan")
    known = (7.0, 3.0, 1.0, 2.0, 3.0, 10.0, 20.0, 30.0)
    found = [(2.0, 0.0, *[nan] * 6), known, (9.0, nan, *known[2:])]
    latest = Latest(pack(1_000.0, found, 2.5))
    assert latest.took == 2.5
    position, estimate = latest.of(7)
    assert position == 3
    assert estimate
    assert estimate.as_of == datetime.fromtimestamp(1_000, UTC)
    assert estimate.start
    assert estimate.finish
    assert estimate.start.p50 - estimate.as_of == timedelta(seconds=2)
    assert estimate.finish.p90 - estimate.as_of == timedelta(seconds=30)
    assert latest.of(2) == (0, None)
    assert latest.of(9)[0] is None
    for absent in (0, 1, 3, 8, 10):
        assert latest.of(absent) == (None, None)
    assert Latest(pack(1.0, [], 0.0)).of(1) == (None, None)


def test_no_row_is_made_of_jobs_of_which_nothing_is_known() -> None:
    farm = picture(job(1, 1), job(2, 1))
    told = [Play(10.0, {1: (inf, inf, inf), 2: (0.0, 1.0, inf)})]
    assert [row[0] for row in rows(farm, told)] == [2]
