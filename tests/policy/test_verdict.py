"""What is said of why a job does not run is true, by the independent judge."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings

from app.policy.crew import Crew
from app.policy.fit import Requirements
from app.policy.made import read, why
from app.policy.obstacles import Obstacle, unfit
from app.policy.pick import pick
from app.policy.steps import Rule, steps_to
from app.policy.tree import Job, Queue, path
from app.policy.verdict import NOBODY, Verdict, verdict
from tests.policy.books import Books
from tests.policy.brute_force import Row
from tests.policy.build import agent, farm, job, queue
from tests.policy.farm_sim import FarmSim
from tests.policy.histories import History, begun, happen, histories
from tests.policy.looks import looks
from tests.policy.rows import uuid_of

NAMES = {"minimum": "minimum_agents", "maximum": "maximum_agents"}
LISTS = {"required_tags", "excluded_tags"}

moments = settings(max_examples=40)
a_history = given(history=histories())


def moments_of(history: History) -> Iterator[tuple[FarmSim, Books]]:
    """The farm and the judge's books, whenever something has happened."""
    policy, books = begun(history)
    for event in history.events:
        for _ in happen(policy, books, *event):
            pass
        yield policy, books


def crew(policy: FarmSim) -> Crew:
    held = {name: policy.jobs[work.job] for name, work in policy.rows.held.items()}
    online = [name for name, row in policy.rows.agents.items() if row["online"]]
    return Crew(
        [policy.rows.agent(name) for name in online if name not in held],
        [(policy.rows.agent(name), held[name]) for name in online if name in held],
    )


def idle(policy: FarmSim) -> list[str]:
    return [
        n for n, row in policy.rows.agents.items() if row["online"] and n not in policy.rows.held
    ]


def node_of(books: Books, node: Queue | Job) -> Row:
    return (books.queues if isinstance(node, Queue) else books.jobs)[node.id]


@moments
@a_history
def test_whether_an_agent_gets_a_job_is_what_it_would_get(history: History) -> None:
    for policy, books in moments_of(history):
        for hostname in idle(policy)[:2]:
            expected = books.pick(hostname)
            for one in list(policy.jobs.values())[:4]:
                found = verdict(policy.farm, one, crew(policy), policy.rows.agent(hostname))
                assert found.gets == (expected is not None and expected[0] == one.id)


@moments
@a_history
def test_the_farm_is_as_it_was_after_every_verdict(history: History) -> None:
    for policy, _ in moments_of(history):
        before = looks(policy.farm)
        nodes: list[Queue | Job] = [*policy.jobs.values(), *policy.queues.values()]
        for node in nodes[:6]:
            if node.parent is not None:
                verdict(policy.farm, node, crew(policy))
        assert looks(policy.farm) == before


@settings(max_examples=60)
@a_history
def test_the_change_that_is_named_lets_the_agent_have_the_job(history: History) -> None:
    for policy, books in moments_of(history):
        for one in list(policy.jobs.values())[:4]:
            found = verdict(policy.farm, one, crew(policy))
            if found.change is not None:
                assert _with(books, found) == one.id


def _with(books: Books, found: Verdict) -> int | None:
    """The job that the judge gives the agent once it is free and the change is made."""
    assert found.change is not None
    row = node_of(books, found.change.node)
    name = NAMES.get(found.change.field, found.change.field)
    value: Any = found.change.value
    before, row[name] = row[name], sorted(value) if name in LISTS else value
    hostname = next(n for n in books.agents if uuid_of(n) == found.change_for.id)
    held, books.agents[hostname]["job"] = books.agents[hostname]["job"], None
    try:
        picked = books.pick(hostname)
        return None if picked is None else picked[0]
    finally:
        row[name], books.agents[hostname]["job"] = before, held


@moments
@a_history
def test_the_agents_that_can_do_something_in_a_queue_are_those_that_can_reach_it(
    history: History,
) -> None:
    for policy, books in moments_of(history):
        if any(one.failed_by for one in policy.jobs.values()):
            continue  # what is open for the agent's kind may then not be for the agent
        online = [n for n, row in policy.rows.agents.items() if row["online"]]
        for number in books.queues:
            found = verdict(policy.farm, policy.queues[number], crew(policy)).census
            able = {who.id for who, _ in (*found.idle, *found.busy)}
            assert able == {
                uuid_of(n) for n in online if _can(books, books.agents[n], books.queues[number])
            }


def _can(books: Books, who: Row, queue: Row) -> bool:
    """Whether something below the queue is open where the agent may work, by the judge."""
    return any(
        books.is_open(child, who)
        and books.on_the_way(child, who)
        and (child["kind"] == "job" or _can(books, who, child))
        for child in books.children(queue)
    )


@moments
@a_history
def test_a_job_that_an_agent_does_not_get_always_has_a_reason(history: History) -> None:
    for policy, _ in moments_of(history):
        for hostname in idle(policy)[:2]:
            who = policy.rows.agent(hostname)
            for one in list(policy.jobs.values())[:4]:
                found = verdict(policy.farm, one, crew(policy), who)
                lost = [step for step in found.steps if step.place not in {None, 1}]
                lacks = list(unfit(who, one, policy.farm.online.values()))
                assert found.gets != bool(found.closed or lacks or lost)


@settings(max_examples=60)
@a_history
def test_why_an_assignment_was_made_names_the_way_and_who_came_second(history: History) -> None:
    for policy, books in moments_of(history):
        for hostname in idle(policy)[:3]:
            who = policy.rows.agent(hostname)
            picked = pick(policy.farm, who)
            if (
                picked is None
                or who.within is not None
                or any(j.failed_by for j in policy.jobs.values())
            ):
                continue  # what is open for the agent's kind may then not be for the agent
            walk = read(why(policy.farm, who, picked)).choices
            way = [node for node in path(picked) if node.parent is not None][::-1]
            assert [step.first.id for step in walk] == [node.id for node in way]
            for step, node in zip(walk, way, strict=True):
                second = _second(books, books.agents[hostname], node)
                found = None if step.second is None else (step.second.is_job, step.second.id)
                assert found == second
                assert step.first.assigned == books.assigned(node_of(books, node))


def _second(books: Books, who: Row, first: Queue | Job) -> tuple[bool, int] | None:
    """Who is next at the queue above, by the judge."""
    mine = node_of(books, first)
    above = books.queues.get(first.parent.id) if first.parent is not None else None
    rest = [n for n in books.children(above) if n is not mine and books.is_open(n, who)]
    if not rest:
        return None
    chosen = books.first([n for n in rest if books.is_owed(n, who)] or rest, above)
    return chosen["kind"] == "job", int(chosen["id"])


def rule(first: Queue | Job, other: Queue | Job, **of_queue: bool) -> Rule | None:
    """Between two children of a queue, of which the first goes first."""
    tree = farm(queue(9, first, other, **of_queue))
    met = tree.kinds.met_by(agent())
    steps = steps_to(other, met, tree.root)
    assert steps[-1].other is first
    return steps[-1].rule


def test_a_minimum_goes_before_everything() -> None:
    assert rule(job(1, minimum=1), job(2, priority=5)) is Rule.MINIMUM


def test_priority_goes_before_shares() -> None:
    assert rule(job(1, priority=1, assigned=5), job(2)) is Rule.PRIORITY


def test_a_job_that_runs_goes_before_one_that_does_not_where_the_queue_prefers_it() -> None:
    assert rule(job(2, assigned=5), job(1), prefer_running_jobs=True) is Rule.RUNNING_FIRST


def test_of_jobs_that_nobody_began_the_older_goes_first_where_running_ones_are_preferred() -> None:
    assert rule(job(1, weight=1), job(2), prefer_running_jobs=True) is Rule.OLDER


def test_priority_counts_between_a_job_that_runs_and_one_that_does_not() -> None:
    assert rule(job(2, priority=1), job(1, assigned=1), prefer_running_jobs=True) is Rule.PRIORITY


def test_weight_zero_gets_what_is_left() -> None:
    assert rule(job(1, assigned=7), job(2, weight=0)) is Rule.LEFTOVERS


def test_the_smaller_share_goes_first() -> None:
    assert rule(job(2, assigned=1), job(1, assigned=2)) is Rule.SHARE


def test_the_heavier_goes_first_at_the_same_share() -> None:
    assert rule(job(2, weight=20), job(1)) is Rule.WEIGHT


def test_a_job_goes_before_a_queue() -> None:
    assert rule(job(2), queue(1, job(3))) is Rule.JOB_FIRST


def test_the_older_of_equals_goes_first() -> None:
    assert rule(job(1), job(2)) is Rule.OLDER


def test_why_the_assignment_of_an_agent_bound_to_a_queue_was_made_begins_there() -> None:
    films = queue(1, job(2), job(5))
    tree = farm(queue(3, films, job(4)))
    bound = agent(within=1)
    picked = pick(tree, bound)
    assert picked is not None
    walk = read(why(tree, bound, picked))
    assert (walk.begun, [step.first.id for step in walk.choices]) == (1, [2])


def test_why_an_assignment_was_made_begins_at_the_root_where_no_queue_is_named() -> None:
    assert why(farm(job(1)), agent(), job(1)) == ""
    walk = read("q3:0:10:1>share>q4:0:10:2! j1:5:10:0")
    assert (walk.begun, [step.first.id for step in walk.choices]) == (None, [3, 1])


def test_a_maximum_above_is_found_and_raising_it_is_the_change() -> None:
    inside = job(1)
    films = queue(1, inside, maximum=5, assigned=5)
    found = verdict(farm(films), inside, Crew([agent()], []))
    assert [closed.obstacle for closed in found.closed] == [Obstacle.MAXIMUM]
    assert found.change is not None
    assert (found.change.node, found.change.field, found.change.value) == (films, "maximum", 6)


def test_with_two_things_in_the_way_no_single_change_is_named() -> None:
    inside = job(1, paused=True)
    tree = farm(queue(1, inside, paused=True))
    assert verdict(tree, inside, Crew([agent()], [])).change is None


def test_a_tag_that_nobody_has_may_be_left_out() -> None:
    asks = job(1, requirements=Requirements(required_tags=frozenset({"gpu", "linux"})))
    who = agent(tags="linux")
    found = verdict(farm(asks, online=(who,)), asks, Crew([who], []))
    assert found.agent.id == NOBODY
    assert found.change is not None
    assert (found.change.field, found.change.value) == ("required_tags", {"linux"})


def test_an_agent_that_is_bound_elsewhere_does_not_hide_that_all_others_are_busy() -> None:
    films, tv = queue(1, job(3)), queue(2, job(4))
    elsewhere, *others = agent(1, within=2), agent(2), agent(3)
    tree = farm(films, tv, online=(elsewhere, *others))
    rendered = next(iter(tv.children))
    assert isinstance(rendered, Job)
    tree.count(rendered, 2)
    busy = [(one, rendered) for one in others]
    found = verdict(tree, films, Crew([elsewhere], busy))
    assert (found.census.idle, found.census.busy) == ([], busy)
    assert found.agent in others


def test_an_agent_that_is_bound_to_a_closed_part_of_a_queue_can_do_nothing_in_it() -> None:
    closed = queue(2, job(3), paused=True)
    films = queue(1, closed, queue(4, job(5)), job(6))
    inside, below = agent(1, within=2), agent(2, within=4)
    tree = farm(films, online=(inside, below))
    assert verdict(tree, films, Crew([inside, below], [])).census.idle == [(below, None)]


def test_an_agent_that_may_not_work_gets_nothing_and_no_change_helps_it() -> None:
    fits, paused = job(1), job(2, paused=True)
    tree = farm(fits, paused, online=())
    for one in (fits, paused):
        found = verdict(tree, one, Crew([], []), agent())
        assert (found.gets, found.change) == (False, None)


def test_where_all_are_busy_the_walk_is_of_the_next_that_is_free() -> None:
    urgent, mine = job(1, priority=5), job(2)
    who = agent()
    tree = farm(urgent, mine, online=(who,))
    tree.count(urgent, 1)
    found = verdict(tree, mine, Crew([], [(who, urgent)]))
    assert (found.frees, found.gets) == (urgent, False)
    assert found.steps[0].rule is Rule.PRIORITY
    assert found.change is not None
    assert (found.change.node, found.change.field) == (mine, "priority")
