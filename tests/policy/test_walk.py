"""The walk from the root to a job, rule by rule."""

from collections.abc import Callable
from typing import Any

import pytest

from app.policy.fit import Requirements
from app.policy.ordinals import Ordinals
from app.policy.pick import assign, pick
from app.policy.tree import Job, Queue, path
from tests.policy.build import agent, farm, job, queue

Make = Callable[..., Queue | Job]


def picked(*top: Queue | Job) -> int | None:
    """Id of the job that a plain agent gets."""
    found = pick(farm(*top), agent())
    return found.id if found else None


# --- open ---


def test_a_farm_without_jobs_has_no_work() -> None:
    assert picked() is None
    assert picked(queue(1), queue(2, queue(3))) is None


CLOSED_JOBS = {
    "paused": {"paused": True},
    "waiting for a parent job": {"parents_done": False},
    "full": {"maximum": 2, "assigned": 2},
    "over its lowered maximum": {"maximum": 1, "assigned": 2},
    "closed by a maximum of 0": {"maximum": 0},
    "without waiting tasks": {"waiting": Ordinals()},
    "asking for more cpus": {"requirements": Requirements(cpus=9)},
    "asking for more memory": {"requirements": Requirements(ram=16385)},
    "asking for a tag": {"requirements": Requirements(required_tags=frozenset({"gpu"}))},
}


@pytest.mark.parametrize("settings", CLOSED_JOBS.values(), ids=CLOSED_JOBS)
def test_a_job_is_not_open_when(settings: dict[str, Any]) -> None:
    assert picked(job(1, **settings)) is None
    assert picked(job(1, priority=1000, **settings), job(2)) == 2


def test_a_job_is_open_below_its_maximum() -> None:
    assert picked(job(1, maximum=2, assigned=1)) == 1


CLOSED_QUEUES = {
    "paused": {"paused": True},
    "full": {"maximum": 2, "assigned": 2},
    "over its lowered maximum": {"maximum": 1, "assigned": 2},
    "closed by a maximum of 0": {"maximum": 0},
}


@pytest.mark.parametrize("settings", CLOSED_QUEUES.values(), ids=CLOSED_QUEUES)
def test_nothing_below_a_queue_is_reached_when_it_is(settings: dict[str, Any]) -> None:
    assert picked(queue(1, queue(2, job(3)), **settings)) is None
    assert picked(queue(1, queue(2, job(3)), priority=1000, **settings), job(4)) == 4


def test_a_queue_is_open_below_its_maximum() -> None:
    assert picked(queue(1, job(2), maximum=2, assigned=1)) == 2


def test_a_queue_with_no_open_child_lets_its_siblings_have_its_share() -> None:
    assert picked(queue(1, job(2, paused=True), priority=9, minimum=5), job(3)) == 3


# --- owed ---


MAKES: dict[str, Make] = {
    "a job": lambda **s: job(1, **s),
    "a queue": lambda **s: queue(5, job(1), **s),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
class TestMinimums:
    def test_a_node_below_its_minimum_comes_before_any_priority(self, make: Make) -> None:
        assert picked(make(minimum=2, assigned=1), job(2, priority=1000)) == 1

    def test_a_minimum_that_is_met_counts_no_more(self, make: Make) -> None:
        assert picked(make(minimum=2, assigned=2), job(2, priority=1)) == 2

    def test_a_minimum_deep_in_the_tree_counts_all_the_way_up(self, make: Make) -> None:
        deep = queue(7, queue(8, make(minimum=1), priority=-1000), priority=-1000)
        assert picked(deep, job(2, priority=1000)) == 1

    def test_between_two_that_are_owed_the_usual_order_decides(self, make: Make) -> None:
        assert picked(make(minimum=1), job(2, minimum=1, priority=1)) == 2

    def test_a_minimum_does_not_break_the_maximum_of_an_ancestor(self, make: Make) -> None:
        full = queue(7, make(minimum=2), maximum=1, assigned=1)
        assert picked(full, job(2)) == 2

    def test_a_minimum_is_not_owed_to_an_agent_that_cannot_serve_it(self, make: Make) -> None:
        node = make(minimum=2)
        unfit = node if isinstance(node, Job) else next(iter(node.children))
        assert isinstance(unfit, Job)
        unfit.requirements = Requirements(cpus=64)
        assert picked(queue(7, node, job(3, weight=0), priority=-1), job(2)) == 2


def test_in_a_queue_below_its_minimum_children_without_one_take_turns() -> None:
    assert picked(queue(1, job(2), job(3, priority=1), minimum=3), job(4, priority=9)) == 3


def test_a_minimum_within_a_minimum_is_owed_to_those_who_can_serve_it_alone() -> None:
    gpu = Requirements(required_tags=frozenset({"gpu"}))
    kept = farm(queue(1, queue(2, job(3, requirements=gpu, minimum=1), minimum=1), minimum=1))
    kept.hang(plain := job(4, priority=-1), kept.root)
    assert pick(kept, agent()) is plain
    found = pick(kept, agent(tags="gpu"))
    assert found is not None
    assert found.id == 3


# --- turn ---


def test_priority_is_strict() -> None:
    assert picked(job(1, weight=1_000_000), job(2, weight=0, priority=1, assigned=500)) == 2


def test_the_lower_share_goes_first() -> None:
    assert picked(job(1, weight=60, assigned=7), job(2, weight=30, assigned=3)) == 2


def test_shares_compare_exactly() -> None:
    a_third, slightly_less = job(1, weight=3, assigned=1), job(2, weight=10**6, assigned=333_333)
    assert picked(a_third, slightly_less) == 2
    closest = job(1, weight=10**6, assigned=999_999), job(2, weight=999_999, assigned=999_998)
    assert picked(*closest) == 2, "its share is lower by one part in a million million"
    assert picked(job(1, weight=999_999, assigned=333_333), job(2, weight=3, assigned=1)) == 1


def test_of_equal_shares_the_heavier_goes_first() -> None:
    assert picked(job(1, weight=10, assigned=1), job(2, weight=20, assigned=2)) == 2


def test_of_equals_a_job_goes_before_a_queue() -> None:
    assert picked(queue(1, job(3)), job(2)) == 2


def test_of_equals_the_older_goes_first() -> None:
    assert picked(job(2), job(1)) == 1
    assert picked(queue(2, job(3)), queue(1, job(4))) == 4


def test_zero_weight_gets_leftovers_only() -> None:
    assert picked(job(1, weight=0), job(2, weight=1, assigned=500)) == 2
    assert picked(job(1, weight=0), job(2, weight=1, paused=True)) == 1


def test_among_zero_weights_the_lower_assigned_goes_first() -> None:
    assert picked(job(1, weight=0, assigned=1), queue(2, job(3), weight=0)) == 3


# --- prefer_running_jobs ---


def preferring(*children: Queue | Job) -> Queue:
    return queue(9, *children, prefer_running_jobs=True)


def test_a_job_not_begun_comes_after_every_other_candidate() -> None:
    assert picked(preferring(job(1, weight=100), job(2, weight=1, assigned=50))) == 2
    assert picked(preferring(job(1, weight=100), job(2, weight=0, assigned=50))) == 2
    assert picked(preferring(job(1, weight=100), queue(5, job(3), weight=0))) == 3


def test_a_job_not_begun_of_higher_priority_still_comes_first() -> None:
    assert picked(preferring(job(1, priority=1), job(2, assigned=5))) == 1


def test_among_jobs_not_begun_the_older_comes_first_whatever_the_weights() -> None:
    assert picked(preferring(job(2, weight=1000), job(1, weight=0))) == 1


def test_jobs_that_run_share_by_weight() -> None:
    assert picked(preferring(job(1, weight=1, assigned=1), job(2, weight=3, assigned=1))) == 2


def test_a_job_not_begun_waits_for_its_turn_like_any_other_where_it_is_not_asked() -> None:
    assert picked(queue(9, job(1), job(2, assigned=1))) == 1


def test_a_queue_prefers_only_among_its_own_children() -> None:
    assert picked(preferring(queue(5, job(1, weight=1), job(2, weight=2)))) == 2


# --- an assignment ---


def test_an_assignment_counts_from_the_job_up_to_the_root() -> None:
    taken = job(1)
    other = job(2, priority=-1)
    counted = farm(queue(3, queue(4, taken), other))
    assert assign(counted, agent()) == (taken, [0])
    assert [node.assigned for node in path(taken)] == [1, 1, 1, 1]
    assert other.assigned == 0


def test_the_tasks_of_an_assignment_wait_no_more() -> None:
    only = job(1, frames="1-5", batch=2)
    one_job = farm(only)
    given = [assign(one_job, agent(number)) for number in (1, 2, 3, 4)]
    assert given == [(only, [0, 1]), (only, [2, 3]), (only, [4]), None]
    assert not only.waiting


def test_a_job_closes_with_the_assignment_of_its_last_task() -> None:
    kept = farm(queue(1, job(2, frames="1")))
    assert assign(kept, agent())
    assert kept.root.line.standing == 0


def test_a_maximum_holds_within_one_cycle() -> None:
    limited = queue(1, job(2), job(3), maximum=3)
    one_cycle = farm(limited, job(4, priority=-1))
    given = [assign(one_cycle, agent(number)) for number in range(1, 6)]
    assert [work[0].id for work in given if work] == [2, 3, 2, 4, 4]


def test_a_tree_as_deep_as_allowed_is_walked() -> None:
    node: Queue | Job = job(99, minimum=1)
    for number in range(1, 33):
        node = queue(number, node)
    assert picked(node, job(100, priority=1)) == 99


# --- one agent after the other ---


def test_agents_are_served_in_turn() -> None:
    first, second = job(1, frames="1-2", batch=2), job(2, frames="1", priority=-1)
    two_jobs = farm(first, second)
    given = [assign(two_jobs, agent(number)) for number in (3, 1, 2)]
    assert given == [(first, [0, 1]), (second, [0]), None]


def test_who_gets_nothing_does_not_keep_others_from_work() -> None:
    picky = job(1, requirements=Requirements(cpus=8, ram=1024, required_tags=frozenset({"gpu"})))
    agents = [
        agent(1, cpus=4, free_ram=1024, tags="gpu"),
        agent(2, cpus=8, free_ram=512, tags="gpu"),
        agent(3, cpus=8, free_ram=1024),
        agent(4, cpus=8, free_ram=1024, tags="gpu"),
    ]
    served = farm(picky)
    assert [assign(served, taker) for taker in agents] == [None, None, None, (picky, [0])]


def test_an_agent_that_failed_the_task_does_not_keep_its_like_from_it() -> None:
    work = job(1, frames="1", failed_by={0: frozenset({agent(1).id})})
    both = farm(work, online=(agent(1), agent(2)))
    assert assign(both, agent(1)) is None
    assert assign(both, agent(2)) == (work, [0])


def test_an_agent_that_failed_all_that_is_first_gets_what_comes_next() -> None:
    failed = {0: frozenset({agent(1).id})}
    barred = [job(n, frames="1", priority=9, minimum=1, failed_by=failed) for n in (1, 2)]
    plain = job(3)
    both = farm(queue(9, *barred), plain, online=(agent(1), agent(2)))
    assert pick(both, agent(1)) is plain
    assert pick(both, agent(2)) is barred[0], "what was closed to one is open to the next"


def test_an_agent_of_one_kind_sees_what_one_of_another_kind_took() -> None:
    only, other = job(1, frames="1"), job(2, frames="1-9", priority=-1)
    agents = [agent(1), agent(2, tags="gpu"), agent(3)]
    two_jobs = farm(only, other)
    assert [assign(two_jobs, taker) for taker in agents] == [
        (only, [0]),
        (other, [0]),
        (other, [1]),
    ]


# --- agents that are bound to a queue ---


def test_an_agent_that_is_bound_to_a_queue_works_in_it_and_below_and_nowhere_else() -> None:
    bound = agent(within=2)
    elsewhere = queue(1, job(11, priority=1000, minimum=1))
    assert pick(farm(elsewhere, queue(2)), bound) is None
    found = pick(farm(elsewhere, queue(2, queue(3, job(12)))), bound)
    assert found is not None
    assert found.id == 12


@pytest.mark.parametrize("settings", CLOSED_QUEUES.values(), ids=CLOSED_QUEUES)
@pytest.mark.parametrize("closed", ["the queue", "one above"])
def test_a_bound_agent_has_no_work_while_its_way_is_closed(
    closed: str, settings: dict[str, Any]
) -> None:
    above, own = (settings, {}) if closed == "one above" else ({}, settings)
    tree = queue(1, queue(2, job(11), **own), **above)
    assert pick(farm(tree), agent(within=2)) is None


def test_an_agent_that_is_bound_to_a_queue_that_is_gone_has_no_work() -> None:
    assert pick(farm(queue(1, job(11))), agent(within=7)) is None


def test_a_minimum_elsewhere_does_not_take_a_bound_agent_away() -> None:
    owed = job(11, minimum=1)
    found = pick(farm(queue(1, owed), queue(2, job(12, priority=-5))), agent(within=2))
    assert found is not None
    assert found.id == 12


def test_an_agent_that_failed_all_tries_again_where_the_only_other_one_is_bound_elsewhere() -> None:
    failed = {0: frozenset({agent(1).id})}
    tree = queue(1, job(11, frames="1", failed_by=failed)), queue(2)
    both = agent(1), agent(2, within=2)
    assert pick(farm(*tree, online=both), agent(1)) is not None
    free = agent(1), agent(2, within=1)
    assert pick(farm(*tree, online=free), agent(1)) is None
