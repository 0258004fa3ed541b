"""What nodes are entitled to is what agents that come one after the other would make of them."""

from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.entitled import entitled
from app.policy.farm import Farm
from app.policy.pick import assign
from app.policy.tree import Job, Queue
from tests.policy.build import agent, farm, job, queue

small = st.integers(0, 9)
limits = st.none() | st.integers(0, 12)
SETTINGS: dict[str, Any] = {
    "priority": st.integers(-1, 1),
    "weight": st.sampled_from([0, 1, 2, 3, 7, 10, 1_000_000]),
    "minimum": limits,
    "paused": st.sampled_from([False, False, False, True]),
}


@st.composite
def trees(draw: st.DrawFn) -> Queue:
    """Up to three levels; a maximum is no lower than the minimum beside it."""
    numbers = count(1)

    def node_settings() -> dict[str, Any]:
        drawn = {name: draw(of) for name, of in SETTINGS.items()}
        maximum = draw(limits)
        if maximum is not None:
            maximum = max(maximum, drawn["minimum"] or 0)
        return drawn | {"maximum": maximum}

    def below(level: int) -> list[Queue | Job]:
        jobs = [
            job(
                next(numbers),
                frames=f"1-{draw(st.integers(1, 12))}",
                batch=draw(st.integers(1, 3)),
                **node_settings(),
            )
            for _ in range(draw(st.integers(0, 3)))
        ]
        if level == 3:
            return [*jobs]
        queues = [
            queue(
                next(numbers),
                *below(level + 1),
                prefer_running_jobs=draw(st.booleans()),
                **node_settings(),
            )
            for _ in range(draw(st.integers(0, 3)))
        ]
        return [*jobs, *queues]

    return queue(0, *below(0), prefer_running_jobs=False)


@settings(max_examples=150)
@given(root=trees(), agents=st.integers(0, 60))
def test_they_are_what_agents_get_that_come_one_after_the_other(root: Queue, agents: int) -> None:
    shares = entitled(root, agents)
    anyone = agent(1)
    empty = Farm(root, [anyone])
    for _ in range(agents):
        assign(empty, anyone)
    assert {node.id: share for node, share in shares.items()} == {
        node.id: node.assigned for node in shares
    }


def test_the_worked_example_of_the_rules() -> None:
    films, tv, tests = (
        queue(1, job(11), weight=60),
        queue(2, job(12), weight=30),
        queue(3, job(13), weight=10),
    )
    shares = entitled(farm(films, tv, tests).root, 100)
    assert [shares[node] for node in (films, tv, tests)] == [60, 30, 10]


def test_what_runs_counts_as_work_that_could_be_given_out() -> None:
    running = job(11, frames="1-4")
    running.waiting.remove([0, 1])
    tree = farm(queue(1, running))
    tree.count(running, 2)
    assert entitled(tree.root, 100)[running] == 4


def test_a_share_that_a_node_cannot_use_flows_to_its_siblings() -> None:
    small_one, other = job(1, frames="1-3"), job(2)
    shares = entitled(farm(small_one, other).root, 100)
    assert (shares[small_one], shares[other]) == (3, 97)


def test_many_agents_and_weights_far_apart_are_shared_out_as_one_by_one() -> None:
    heavy, light = job(1, weight=1_000_000, frames="1-20000"), job(2, weight=3, frames="1-20000")
    shares = entitled(farm(heavy, light).root, 20_001)
    assert (shares[heavy], shares[light]) == (20_000, 1)
