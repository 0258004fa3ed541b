"""What must hold on any farm after any history, judged by a reading of the rules of its own."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy.pick import pick
from app.policy.tree import Job, Queue
from tests.policy.brute_force import Row
from tests.policy.histories import Decision, History, after_each_event, decisions, histories
from tests.policy.looks import in_use, looks

a_history = given(history=histories())
few = settings(max_examples=30)
many = settings(max_examples=80)


@many
@a_history
def test_the_pick_equals_that_of_the_independent_judge(history: History) -> None:
    for decision in decisions(history):
        assert decision.pick == decision.farm.pick(decision.hostname)


@many
@a_history
def test_after_any_history_the_kept_farm_equals_one_built_anew(history: History) -> None:
    for policy in after_each_event(history):
        kept, anew = policy.farm, policy.rows.farm()
        assert looks(kept) == looks(anew)
        assert in_use(kept.kinds) == in_use(anew.kinds)
        assert kept.online == anew.online


@few
@given(histories(), st.randoms(use_true_random=False).map(lambda random: random.shuffle))
def test_the_pick_does_not_depend_on_the_order_of_rows(
    history: History, shuffle: Callable[[list[Queue | Job]], None]
) -> None:
    def shuffled(rows: list[Queue | Job]) -> list[Queue | Job]:
        shuffle(rows)
        return rows

    for policy in after_each_event(history):
        farms = policy.farm, policy.rows.farm(), policy.rows.farm(shuffled)
        for agent in policy.rows.online():
            picks = [pick(farm, agent) for farm in farms]
            assert len({job.id if job else None for job in picks}) == 1


@few
@a_history
def test_no_agent_idles_while_a_job_is_within_its_reach(history: History) -> None:
    for decision in decisions(history):
        if decision.pick is None:
            assert [job for job in decision.farm.jobs.values() if reachable(job, decision)] == []


@few
@a_history
def test_nothing_goes_to_an_agent_that_is_not_open_for_it(history: History) -> None:
    for decision in decisions(history):
        if decision.pick is not None:
            assert all(decision.farm.is_open(node, decision.agent) for node in decision.path)


@few
@a_history
def test_no_assignment_passes_a_maximum_in_or_above_its_job(history: History) -> None:
    for decision in decisions(history):
        if decision.pick is not None:
            assert not any(decision.farm.is_full(node) for node in decision.path)


@few
@a_history
def test_while_a_reachable_node_is_below_its_minimum_agents_go_only_below_such_nodes(
    history: History,
) -> None:
    for decision in decisions(history):
        farm = decision.farm
        nodes = [*farm.queues.values(), *farm.jobs.values()]
        if any(farm.is_below_minimum(n) and reachable(n, decision) for n in nodes):
            assert decision.pick is not None
            assert any(farm.is_below_minimum(node) for node in decision.path)


@few
@a_history
def test_on_the_way_down_an_owed_child_is_never_passed_over(history: History) -> None:
    for decision in decisions(history):
        if decision.pick is not None:
            owed = decision.farm.is_owed
            for node in decision.path:
                siblings = siblings_of(node, decision)
                if any(owed(sibling, decision.agent) for sibling in siblings):
                    assert owed(node, decision.agent)


@few
@a_history
def test_zero_weight_gets_only_what_no_weighted_sibling_of_its_priority_can_use(
    history: History,
) -> None:
    for decision in decisions(history):
        zeros = [n for n in decision.path if n["weight"] == 0] if decision.pick else []
        for node in zeros:
            rivals = [n for n in siblings_of(node, decision) if goes_before_zero(n, node, decision)]
            assert rivals == []


def reachable(node: Row, decision: Decision) -> bool:
    """The agent could be sent there: it is open, and so are all queues above it."""
    way = [node, *decision.farm.ancestors(node)]
    return serves(decision, node) and all(
        decision.farm.is_open(step, decision.agent) for step in way
    )


def serves(decision: Decision, job_or_queue: Row) -> bool:
    """The agent is not bound to a queue beside or below it."""
    bound = decision.agent["within"]
    way = [job_or_queue, *decision.farm.ancestors(job_or_queue)]
    return bound is None or decision.farm.queues.get(bound) in way


def siblings_of(node: Row, decision: Decision) -> list[Row]:
    """Those that the agent might be sent to as well."""
    farm = decision.farm
    parent = None if node["parent"] is None else farm.queues[node["parent"]]
    others = [child for child in farm.children(parent) if child is not node]
    return [child for child in others if farm.on_the_way(child, decision.agent)]


def goes_before_zero(rival: Row, node: Row, decision: Decision) -> bool:
    """A weighted sibling, open, owed if the node is, not kept back as a job not begun."""
    farm, agent = decision.farm, decision.agent
    parent = {} if node["parent"] is None else farm.queues[node["parent"]]
    kept_back = parent.get("prefer_running_jobs") and rival["kind"] == "job"
    return (
        rival["weight"] > 0
        and rival["priority"] == node["priority"]
        and farm.is_open(rival, agent)
        and farm.is_owed(rival, agent) >= farm.is_owed(node, agent)
        and not (kept_back and farm.assigned(rival) == 0)
    )
