"""What a job could ask less where no agent can do it: the smallest change, by the judge."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.changes import Change, freed_ram
from app.policy.crew import Crew
from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.obstacles import Obstacle
from app.policy.tree import Job
from app.policy.verdict import NOBODY, VALUES, verdict
from tests.policy.books import Books
from tests.policy.brute_force import Row
from tests.policy.build import agent, farm, job
from tests.policy.farm_sim import FarmSim
from tests.policy.rows import uuid_of

some_tags = st.lists(st.sampled_from(["gpu", "linux", "big"]), unique=True).map(sorted)
no_tags = st.just(list[str]())
MINE = 1


@dataclass(frozen=True)
class Moment:
    """A farm in which some agents have asked; the first job is the one in question."""

    jobs: list[Row]
    agents: list[Row]
    asked: int


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    asks = st.fixed_dictionaries(
        {
            "cpus": st.integers(1, 8),
            "ram": st.integers(1, 8),
            "required_tags": no_tags | some_tags,
            "excluded_tags": no_tags | no_tags | some_tags,
            "priority": st.integers(0, 2),
        }
    )
    has = st.fixed_dictionaries(
        {"cpus": st.integers(1, 6), "ram": st.integers(1, 6), "tags": some_tags}
    )
    jobs = draw(st.lists(asks, min_size=1, max_size=4))
    agents = draw(st.lists(has, min_size=1, max_size=5))
    return Moment(
        [
            {"title": f"j{n}", "queue": None, "frames": "1-9", "parents": [], **one}
            for n, one in enumerate(jobs)
        ],
        [{"hostname": f"a{n}", "within": None, **one} for n, one in enumerate(agents)],
        draw(st.integers(0, len(agents))),
    )


@settings(max_examples=200)
@given(moment=moments())
def test_the_change_is_the_smallest_that_lets_an_agent_have_the_job(moment: Moment) -> None:
    policy = FarmSim([], moment.jobs, moment.agents)
    books = Books([], moment.jobs, moment.agents)
    hostnames = list(books.agents)[: moment.asked]
    for hostname, pick in zip(hostnames, policy.poll(*hostnames), strict=True):
        books.take(hostname, pick)
    held = policy.rows.held
    idle = [name for name in books.agents if name not in held]
    crew = Crew(
        [policy.rows.agent(name) for name in idle],
        [(policy.rows.agent(name), policy.jobs[work.job]) for name, work in held.items()],
    )
    found = verdict(policy.farm, policy.jobs[MINE], crew)
    if found.agent.id != NOBODY:
        return
    expected = _smallest(books, idle) or _smallest(books, list(held))
    if found.change is None:
        assert expected is None
        return
    given_up, hostnames = expected or (-1.0, [])
    assert _given_up(books.jobs[MINE], found.change.field, found.change.value) == given_up
    assert found.change_for.id in map(uuid_of, hostnames)


def _smallest(books: Books, hostnames: list[str]) -> tuple[float, list[str]] | None:
    """How little the job has to give up, by the judge, and the agents that it is enough for."""
    row, helps = books.jobs[MINE], dict[float, list[str]]()
    for field, value in _every(row):
        before, row[field] = row[field], value
        some = [name for name in hostnames if _gets(books, name)]
        row[field] = before
        if some:
            helps.setdefault(_given_up(row, field, value), []).extend(some)
    return min(helps.items()) if helps else None


def _every(row: Row) -> Iterator[tuple[str, Any]]:
    for field in ("cpus", "ram"):
        yield from ((field, value) for value in range(1, row[field]))
    for field in ("required_tags", "excluded_tags"):
        tags = row[field]
        some = chain.from_iterable(combinations(tags, number) for number in range(len(tags)))
        yield from ((field, list(chosen)) for chosen in some)


def _gets(books: Books, hostname: str) -> bool:
    held, books.agents[hostname]["job"] = books.agents[hostname]["job"], None
    picked = books.pick(hostname)
    books.agents[hostname]["job"] = held
    return picked is not None and picked[0] == MINE


def _given_up(row: Row, field: str, value: Any) -> float:
    """A part of a number is less than a tag."""
    before = row[field]
    return len(before) - len(value) if field.endswith("tags") else (before - value) / before


def asking(tree: Farm, mine: Job, *idle: Agent) -> tuple[str, Any] | None:
    change = verdict(tree, mine, Crew(idle, [])).change
    return None if change is None else (change.field, change.value)


def test_of_agents_with_few_and_with_many_cpus_the_change_is_for_the_one_with_many() -> None:
    mine = job(1, requirements=Requirements(cpus=32))
    few, many = agent(1, cpus=2), agent(2, cpus=16)
    assert asking(farm(mine, online=(few, many)), mine, few, many) == ("cpus", 16)


def test_where_the_nearest_agent_would_go_elsewhere_the_change_is_for_the_next() -> None:
    mine = job(1, requirements=Requirements(cpus=32))
    urgent = job(2, priority=5, requirements=Requirements(required_tags=frozenset({"gpu"})))
    taken, free = agent(1, cpus=24, tags="gpu"), agent(2, cpus=16)
    assert asking(farm(mine, urgent, online=(taken, free)), mine, taken, free) == ("cpus", 16)


def test_each_agent_with_the_same_is_tried_before_the_job_is_to_ask_still_less() -> None:
    mine = job(1, requirements=Requirements(cpus=32))
    urgent = job(2, priority=5, requirements=Requirements(required_tags=frozenset({"gpu"})))
    taken, free, least = agent(1, cpus=16, tags="gpu"), agent(2, cpus=16), agent(3, cpus=2)
    online = taken, free, least
    assert asking(farm(mine, urgent, online=online), mine, *online) == ("cpus", 16)


def test_an_idle_agent_counts_before_a_busy_one_that_lacks_less() -> None:
    mine, other = job(1, requirements=Requirements(cpus=32)), job(2)
    idle, busy = agent(1, cpus=2), agent(2, cpus=16)
    tree = farm(mine, other, online=(idle, busy))
    tree.count(other, 1)
    found = verdict(tree, mine, Crew([idle], [(busy, other)]))
    assert found.change is not None
    assert (found.change.value, found.change_for) == (2, idle)


def test_a_smaller_number_is_a_smaller_change_than_a_tag_less() -> None:
    mine = job(1, requirements=Requirements(cpus=8, required_tags=frozenset({"gpu"})))
    untagged, small = agent(1), agent(2, cpus=2, tags="gpu")
    assert asking(farm(mine, online=(untagged, small)), mine, untagged, small) == ("cpus", 2)


def test_only_so_many_values_are_tried() -> None:
    """All agents but the smallest would go elsewhere."""
    mine = job(1, requirements=Requirements(cpus=99))
    urgent = job(2, priority=5, requirements=Requirements(cpus=2))
    fewer = [agent(cpus, cpus=cpus) for cpus in range(1, VALUES + 1)]
    assert asking(farm(mine, urgent), mine, *fewer) == ("cpus", 1)
    more = [*fewer, agent(VALUES + 1, cpus=VALUES + 1)]
    assert asking(farm(mine, urgent), mine, *more) is None


def test_memory_comes_back_when_the_work_ends_and_never_more_than_there_is() -> None:
    assert freed_ram(4_000, 64_000, 32_000) == 36_000
    assert freed_ram(60_000, 64_000, 32_000) == 64_000
    assert freed_ram(64_000, 64_000, 32_000) == 64_000
    assert freed_ram(64_000, 32_000, 1_000) == 64_000  # it reports more than it has


def _where_all_are_busy(free_ram: int, ram: int) -> tuple[list[Obstacle], Change | None]:
    """A job asks for 32,000 MB; what the one agent has free once it is, and in all."""
    other, mine = job(2), job(1, requirements=Requirements(ram=32_000))
    who = replace(agent(), free_ram=free_ram)
    tree = farm(other, mine, online=(who,))
    tree.count(other, 1)
    found = verdict(tree, mine, Crew([], [(who, other)], {who.id: ram}))
    return [one.obstacle for one in found.census.unfit], found.change


def test_a_busy_agent_with_too_little_memory_in_all_is_asked_for_what_it_has() -> None:
    lacks, change = _where_all_are_busy(16_000, 16_000)
    assert lacks == [Obstacle.RAM]
    assert change is not None
    assert (change.field, change.value) == ("ram", 16_000)


def test_nothing_is_advised_by_the_memory_of_a_busy_agent_that_may_have_more_later() -> None:
    assert _where_all_are_busy(4_000, 64_000) == ([Obstacle.RAM], None)
