"""Simulations of farms that are made up: what is told, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.simulation.answers import Simulation
from app.simulation.edits import Wrong
from app.simulation.schemas import SimulationRequest
from app.simulation.simulate import TooLong, simulate

Json = dict[str, Any]

EXAMPLE: Json = {
    "queues": [
        {"queue": "/films", "weight": 60},
        {"queue": "/tv", "weight": 30},
        {"queue": "/tests", "weight": 10},
    ],
    "jobs": [
        {"title": f"of {name}", "queue": f"/{name}", "tasks": 10_000, "seconds_per_task": 60}
        for name in ("films", "tv", "tests")
    ],
    "agents": [{"count": 100}],
}


def told(seconds: float = 60, **asked: Any) -> Simulation:
    """What a simulation says; the answer is as the document has it."""
    request = SimulationRequest.model_validate({"farm": EXAMPLE, "hours": 1} | asked)
    return Simulation.model_validate(simulate(request, "", seconds), strict=False)


def refused(**asked: Any) -> dict[str, str]:
    with pytest.raises(Wrong) as wrong:
        told(**asked)
    return {".".join(map(str, place)): why for place, why in wrong.value.errors}


def test_the_worked_example_of_the_rules() -> None:
    found = told()
    assert found.baseline is None
    by_queue = {one.queue: one for one in found.changed.queues}
    assert {path: one.agents_now for path, one in by_queue.items()} == {
        "/films": 60,
        "/tv": 30,
        "/tests": 10,
    }
    assert [one.share_of_entitlement for one in by_queue.values()] == [1, 1, 1]
    assert found.changed.series.queues["/films"] == [60] * 13
    assert found.changed.series.seconds == [300.0 * step for step in range(13)]


def test_a_change_stands_beside_what_is_without_it() -> None:
    changes = {"queues": [{"queue": "/films", "maximum_agents": 20}]}
    found = told(changes=changes)
    assert found.baseline
    before, after = (
        {one.queue: one for one in outcome.queues} for outcome in (found.baseline, found.changed)
    )
    assert (before["/films"].peak_agents, after["/films"].peak_agents) == (60, 20)
    assert (after["/tv"].agents_now, after["/tests"].agents_now) == (60, 20)
    assert after["/films"].maximum_agents == 20


def test_more_agents_finish_sooner() -> None:
    work = [{"title": "w", "queue": "/films", "tasks": 400, "seconds_per_task": 60, "spread": 0}]
    farm = EXAMPLE | {"jobs": work, "agents": [{"count": 10, "ram": 65_536}]}
    changes = {"agents": {"add": [{"count": 30, "ram": 65_536}]}}
    found = told(farm=farm, changes=changes)
    assert found.baseline
    assert found.baseline.jobs[0].finish_seconds == pytest.approx(2_400)
    assert found.changed.jobs[0].finish_seconds == pytest.approx(600)
    assert found.changed.finish_seconds == pytest.approx(600)
    assert found.changed.agents == 40


def test_agents_go_by_their_tags() -> None:
    farm = EXAMPLE | {"agents": [{"count": 5, "tags": ["old"]}, {"count": 5}]}
    changes = {"agents": {"remove": [{"tags": ["old"], "count": 3}, {"tags": ["old"]}]}}
    assert told(farm=farm, changes=changes).changed.agents == 5


def test_queues_are_made_moved_and_taken_away() -> None:
    changes = {
        "queues": [
            {"create": "/films/hero", "minimum_agents": 2},
            {"queue": "/tv", "parent": "/films/hero"},
            {"queue": "/tests", "delete": True},
        ]
    }
    work = [{"title": "shot", "queue": "/films/hero", "tasks": 10, "seconds_per_task": 60}]
    found = told(changes=changes, workload=work, series=["/films/hero/tv"])
    assert [one.queue for one in found.changed.queues] == [
        "/films",
        "/films/hero",
        "/films/hero/tv",
    ]
    assert set(found.changed.series.queues) == {"/films", "/films/hero/tv"}
    assert {one.title for one in found.changed.jobs} == {"of films", "of tv", "shot"}


def test_a_workload_comes_when_it_says_and_in_its_order() -> None:
    work = [
        {"title": "render", "queue": "/films", "tasks": 10, "seconds_per_task": 60, "at": 600,
         "count": 2, "every": 900, "spread": 0},
        {"title": "encode", "tasks": 1, "seconds_per_task": 60, "after": [0], "spread": 0},
    ]  # fmt: skip
    farm = EXAMPLE | {"jobs": [], "agents": [{"count": 100}]}
    jobs = told(farm=farm, workload=work).changed.jobs
    assert [(one.title, one.next_agent_seconds, one.finish_seconds) for one in jobs] == [
        ("render", 600, 660),
        ("render", 1500, 1560),
        ("encode", 1560, 1620),
    ]
    assert [one.submitted_seconds for one in jobs] == [600, 1500, 0]


def test_a_minimum_that_is_not_met_counts_its_seconds() -> None:
    farm = EXAMPLE | {"agents": [{"count": 1}]}
    changes = {"queues": [{"queue": "/films", "minimum_agents": 2}]}
    [films] = [one for one in told(farm=farm, changes=changes).changed.queues
               if one.queue == "/films"]  # fmt: skip
    assert films.seconds_below_minimum == 3_600


def test_the_same_seed_tells_the_same() -> None:
    assert told(seed=7, spread=1) == told(seed=7, spread=1)


def test_each_place_that_is_wrong_is_named() -> None:
    changes = {
        "queues": [
            {"queue": "/nowhere", "weight": 1},
            {"id": 99, "weight": 1},
            {"create": "/films"},
            {"create": "/no/such"},
            {"queue": "/films", "parent": "/films"},
            {"queue": "/tv", "minimum_agents": 5, "parent": "/gone"},
        ],
        "jobs": [{"id": 1_000, "priority": 1}, {"id": 1, "queue": "/gone"}],
        "agents": {"remove": [{"tags": ["none"], "count": 1}], "add": [{"count": 99_999}]},
    }
    work = [{"title": "w", "tasks": 1, "queue": "/gone"}, {"title": "w", "tasks": 1, "after": [1]}]
    found = refused(changes=changes, workload=work, series=["/gone"], jobs=[77])
    assert found == {
        "changes.queues.0.queue": "there is no queue /nowhere",
        "changes.queues.1.id": "there is no queue with id 99",
        "changes.queues.2.create": "there is a queue /films already",
        "changes.queues.3.create": "there is no queue /no",
        "changes.queues.4.parent": "a queue cannot hang below itself",
        "changes.queues.5.parent": "there is no queue /gone",
        "changes.jobs.0.id": "there is no unfinished job with id 1000",
        "changes.jobs.1.queue": "there is no queue /gone",
        "changes.agents.remove.0.count": "there are only 0 such agents",
        "changes.agents.add.0.count": "a simulation has at most 100000 agents",
        "workload.0.queue": "there is no queue /gone",
        "workload.1.after": "must name earlier places of the list",
        "series.0": "there is no queue /gone",
        "jobs.0": "there is no unfinished job with id 77",
    }


def test_moves_make_no_tree_that_is_deeper_than_one_may_be() -> None:
    queues = [{"queue": f"/q{n}"} for n in range(1_200)]
    moves = [{"queue": f"/q{number - 1}", "parent": f"/q{number}"} for number in range(1, 1_200)]
    found = refused(farm={"queues": queues}, changes={"queues": moves})
    first = "a tree has at most 32 levels: it would have 33"
    assert next(iter(found.items())) == ("changes.queues.31.parent", first)
    moves = moves[:31]
    assert len(told(farm={"queues": queues}, changes={"queues": moves}).changed.queues) == 1_200


def test_limits_are_checked_against_what_is_there() -> None:
    farm = EXAMPLE | {"queues": [{"queue": "/films", "minimum_agents": 5}], "jobs": []}
    changes = {"queues": [{"queue": "/films", "maximum_agents": 4}]}
    assert refused(farm=farm, changes=changes) == {
        "changes.queues.0.maximum_agents": "minimum_agents (5) must not be over maximum_agents (4)"
    }


def test_a_farm_that_is_made_up_has_each_queue_below_one_that_is_there() -> None:
    queues = [{"queue": "/a/b"}, {"queue": "/a"}, {"queue": "/c/d"}, {"queue": "/a"}]
    assert refused(farm={"queues": queues}) == {
        "farm.queues.2.queue": "there is no queue /c",
        "farm.queues.3.queue": "there is a queue /a already",
    }


def test_one_that_takes_too_long_says_how_far_it_came() -> None:
    with pytest.raises(TooLong, match=r"of 1 hours"):
        told(seconds=0)


def test_a_long_time_has_no_more_steps_than_may_be_asked_for() -> None:
    found = told(farm={}, hours=672).changed.series.seconds
    assert len(found) == 2_001
    assert found[1] == 1_209.6
    assert told(farm={}, hours=672, step_seconds=found[1]).changed.series.seconds == found


@pytest.mark.parametrize(
    "asked",
    [
        {"hours": 0},
        {"hours": 672, "step_seconds": 300},
        {"hours": 24, "step_seconds": 1},
        {"changes": {"queues": [{"queue": "/films", "id": 1}]}},
        {"changes": {"queues": [{"create": "/films", "delete": True}]}},
        {"workload": [{"title": "w", "tasks": 0}]},
        {"unknown": 1},
    ],
)
def test_what_makes_no_sense_is_refused(asked: Json) -> None:
    with pytest.raises(ValidationError):
        SimulationRequest.model_validate(asked)
