"""Of thousands of agents each sort is judged once, and each is told as it is."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy import batch
from app.policy import crew as crew_module
from app.policy.crew import Crew, census
from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements, everyone_failed
from app.policy.obstacles import Lack, Obstacle, Obstacles, closed_above, of_its_sort, unfit
from app.policy.tree import Job
from tests.policy.build import agent, farm, job, queue

MANY = 120
ASKS = Requirements(cpus=4, ram=8_000, required_tags=frozenset({"gpu"}))

tags = st.sampled_from(["", "gpu", "linux", "gpu linux"])
kinds = st.builds(
    Requirements,
    cpus=st.integers(1, 4),
    ram=st.integers(1, 4),
    required_tags=tags.map(lambda words: frozenset(words.split())),
)


def agents_of_four_sorts() -> list[Agent]:
    """Each has another memory, as real ones have; a third of them less than `ASKS` asks for."""
    sorts = list(product((2, 8), ("", "gpu")))
    return [
        agent(n, cpus=sorts[n % 4][0], tags=sorts[n % 4][1], free_ram=200 * n)
        for n in range(1, MANY + 1)
    ]


def test_agents_are_judged_once_a_sort_and_told_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[Agent] = []

    def judge(who: Agent, one: Job) -> Iterator[Lack]:
        judged.append(who)
        return of_its_sort(who, one)

    monkeypatch.setattr(crew_module, "of_its_sort", judge)
    agents, mine = agents_of_four_sorts(), job(1, requirements=ASKS)
    tree = farm(mine, online=tuple(agents))
    found = census(mine, Crew(agents[:60], [(one, mine) for one in agents[60:]]), tree.online)
    assert len(judged) == 4
    lacking = [(one, unfit(one, mine, agents)) for one in agents]
    assert [one for one, _ in (*found.idle, *found.busy)] == [
        one for one, lacks in lacking if not lacks
    ]
    assert [(one, lack) for (one, _), lack in (*found.nearly_idle, *found.nearly_busy)] == [
        (one, lacks[0]) for one, lacks in lacking if len(lacks) == 1
    ]
    counted = Counter(lack for _, lacks in lacking for lack in lacks)
    assert {(one.obstacle, one.tags): one.agents for one in found.unfit} == counted


def test_who_else_could_try_what_many_failed_is_looked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[frozenset[UUID]] = []

    def look(ids: frozenset[UUID], required: Requirements, online: Iterable[Agent]) -> bool:
        looked.append(ids)
        return everyone_failed(ids, required, online)

    monkeypatch.setattr(batch, "everyone_failed", look)
    agents = [agent(n) for n in range(1, MANY + 1)]
    failed = frozenset(one.id for one in agents[1:])
    mine = job(1, frames="1-3", failed_by=dict.fromkeys(range(3), failed))
    tree = farm(mine, online=tuple(agents))
    found = census(mine, Crew(agents, []), tree.online)
    assert looked == [failed]
    assert found.idle == [(agents[0], None)]
    assert [(one.obstacle, one.agents) for one in found.unfit] == [
        (Obstacle.FAILED_BEFORE, MANY - 1)
    ]


@given(asked=st.lists(kinds, min_size=1, max_size=6), words=tags, cpus=st.integers(1, 4))
def test_the_least_memory_that_does_is_that_of_the_first_kind_that_is_met(
    asked: list[Requirements], words: str, cpus: int
) -> None:
    jobs = [job(n, requirements=one) for n, one in enumerate(asked, 1)]
    tree = farm(*jobs)
    bits = jobs[0].kind | jobs[-1].kind
    enough = [
        ram
        for ram in range(6)
        if tree.kinds.met_by(agent(cpus=cpus, tags=words, free_ram=ram)) & bits
    ]
    assert tree.kinds.least_ram(agent(cpus=cpus, tags=words), bits) == min(enough, default=None)


def test_the_first_thing_in_the_way_of_each_job_is_found_as_if_it_were_alone() -> None:
    failed: dict[int, frozenset[UUID]] = {0: frozenset({agent().id})}
    jobs = [
        *(job(1), job(2, paused=True), job(3, requirements=ASKS), job(4, parents_done=False)),
        job(5, frames="1", failed_by=failed),
        job(6, frames="1", failed_by=failed, requirements=ASKS),
    ]
    below = [job(10 + one.id, requirements=one.requirements) for one in jobs]
    full = queue(7, queue(8, *below[:3], paused=True), maximum=0)
    tree = farm(*jobs, full, queue(9, *below[3:], paused=True), online=(agent(), agent(2)))
    obstacles = Obstacles(agent(), tree.online)
    for one in (*jobs, *below):
        assert obstacles.first(one) == _alone(tree, one)


def _alone(tree: Farm, one: Job) -> tuple[Obstacle, frozenset[str]] | None:
    closed = [(found.obstacle, frozenset[str]()) for found in closed_above(one)]
    return next(iter([*closed, *unfit(agent(), one, tree.online.values())]), None)
