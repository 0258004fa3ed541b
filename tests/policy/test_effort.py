"""How much is looked at for one pick, counted and not timed: depth by depth, log of the fan-out."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.policy import line as module
from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.kinds import Kinds
from app.policy.line import _Stretch
from app.policy.pick import assign
from app.policy.tree import Job, Queue, path
from tests.policy.build import agent, job, queue

TAGS = ["", "gpu", "night", "gpu night"]
KINDS = [
    Requirements(cpus, ram, frozenset(tags.split()))
    for cpus in (1, 4, 16)
    for ram in (32, 4096, 32768)
    for tags in TAGS
]
AGENTS = [
    agent(number, cpus=cpus, free_ram=ram, tags=tags)
    for number, (cpus, ram, tags) in enumerate(
        (cpus, ram, tags) for cpus in (1, 8, 64) for ram in (64, 8192, 65536) for tags in TAGS
    )
]


class Met(int):
    """Bits that an agent meets; each look for them, at a member or at a union, is counted."""

    seen: Counter[str]

    def __rand__(self, other: int) -> int:
        self.seen["looks"] += 1
        return int(self) & other

    def __lshift__(self, by: int) -> "Met":
        return met(int(self) << by, self.seen)


def met(bits: int, seen: Counter[str]) -> Met:
    made = Met(bits)
    made.seen = seen
    return made


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Looks of the walk; nodes that are placed; stretches of which the union is made anew."""
    seen = Counter[str]()
    place, union, met_by = Farm._place, _Stretch.bits, Kinds.met_by

    def placed(self: Farm, node: Queue | Job) -> None:
        seen["placed"] += 1
        place(self, node)

    def united(self: _Stretch[Any]) -> int:
        seen["united"] += 1
        return union(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Farm, "_place", placed)
        patch.setattr(_Stretch, "bits", united)
        patch.setattr(Kinds, "met_by", lambda self, taker: met(met_by(self, taker), seen))
        yield seen


def a_farm(jobs: int, fan_out: int) -> Farm:
    """Queues below queues with as many children each, and jobs of all kinds at the bottom."""
    row: list[Queue | Job] = [
        job(
            number,
            requirements=KINDS[number * 7 % len(KINDS)],
            weight=1 + number % 5,
            priority=number % 3,
            minimum=1 if number % 11 == 0 else None,
            maximum=2 if number % 7 == 0 else None,
        )
        for number in range(jobs)
    ]
    while len(row) > fan_out:
        row = [
            queue(number, *row[number * fan_out : (number + 1) * fan_out], minimum=number % 2)
            for number in range(math.ceil(len(row) / fan_out))
        ]
    return Farm(queue(0, *row), AGENTS)


def at_most(work: Job) -> int:
    """Looks down to the job: what is in a line, the tree above it, and one stretch of it."""
    fan_outs = [len(node.children) for node in path(work) if isinstance(node, Queue)]
    return sum(2 + math.ceil(math.log2(fan_out + 1)) + module.LONGEST for fan_out in fan_outs)


SHAPES = [(100, 100), (100, 10), (100, 5), (10_000, 10_000), (10_000, 100), (10_000, 10)]
on_farms_of_any_shape = pytest.mark.parametrize(("jobs", "fan_out"), SHAPES)
AGENT_AFTER_AGENT: list[Agent] = AGENTS * 3


@on_farms_of_any_shape
def test_a_pick_looks_at_no_more_than_a_stretch_and_the_tree_above_it_on_each_level(
    jobs: int, fan_out: int
) -> None:
    kept = a_farm(jobs, fan_out)
    with counted() as seen:
        for taker in AGENT_AFTER_AGENT:
            before = seen["looks"]
            if given := assign(kept, taker):
                assert seen["looks"] - before <= at_most(given[0])
            else:
                assert seen["looks"] - before == 2, "at the root alone"


@on_farms_of_any_shape
def test_an_assignment_and_its_end_place_the_nodes_from_the_job_up_and_no_others(
    jobs: int, fan_out: int
) -> None:
    kept = a_farm(jobs, fan_out)
    with counted() as seen:
        for taker in AGENT_AFTER_AGENT:
            before = seen["placed"]
            if given := assign(kept, taker):
                depth = len(list(path(given[0])))
                assert seen["placed"] - before == depth
                kept.count(given[0], -1)
                assert seen["placed"] - before == 2 * depth


def test_ten_thousand_jobs_are_looked_at_hardly_more_often_than_a_hundred() -> None:
    looks = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST", 4)
        for jobs in (100, 10_000):
            kept = a_farm(jobs, jobs)
            with counted() as seen:
                for taker in AGENT_AFTER_AGENT:
                    assign(kept, taker)
            looks[jobs] = seen["looks"] / len(AGENT_AFTER_AGENT)
    assert looks[10_000] <= looks[100] + math.log2(100) + module.LONGEST


def test_turns_within_one_stretch_need_no_union_made_anew() -> None:
    kept = Farm(queue(0, *[job(number) for number in range(20)]), AGENTS)
    with counted() as seen:
        for taker in AGENT_AFTER_AGENT:
            assert assign(kept, taker)
    assert seen["united"] == 0


def test_turns_in_a_long_queue_go_round_without_a_look_at_every_stretch() -> None:
    kept = a_farm(10_000, 10_000)
    with counted() as seen:
        for taker in AGENT_AFTER_AGENT * 10:
            assign(kept, taker)
    assert seen["united"] / len(AGENT_AFTER_AGENT * 10) < 4


def test_settling_what_changes_nothing_above_stops_there() -> None:
    kept = a_farm(10_000, 10)
    work = next(node for node in path(a_job_of(kept)) if isinstance(node, Job))
    with counted() as seen:
        work.weight += 1
        kept.settle(work)
    assert seen["placed"] == 1
    with counted() as seen:
        kept.settle(work)
    assert (seen["placed"], seen["united"]) == (1, 0)


def a_job_of(kept: Farm) -> Job:
    node: Queue | Job = kept.root
    while isinstance(node, Queue):
        node = min(node.children, key=lambda child: child.id)
    return node
