"""The kept farm, change by change: who is found before a change, and who after it."""

from typing import Any

from app.policy.farm import Farm
from app.policy.fit import Requirements
from app.policy.ordinals import Ordinals
from app.policy.pick import assign, pick
from app.policy.tree import Job, Queue
from tests.policy.build import agent, farm, job, queue
from tests.policy.looks import in_order, in_use

GPU = Requirements(required_tags=frozenset({"gpu"}))


def first(kept: Farm, tags: str = "") -> int | None:
    """Id of the job that comes first for an agent of such tags."""
    found = pick(kept, agent(tags=tags))
    return found.id if found else None


def turns(parent: Queue) -> list[int]:
    return [child.id for child in in_order(parent.line)]


def assigned(*nodes: Queue | Job) -> list[int]:
    return [node.assigned for node in nodes]


# --- hang ---


def test_a_job_that_is_hung_up_is_found() -> None:
    kept = farm(inner := queue(1), job(2))
    kept.hang(new := job(3, priority=1), kept.root)
    assert first(kept) == 3
    assert new in kept.root.children
    kept.hang(job(4, minimum=1), inner)
    assert first(kept) == 4, "it is owed, and so is the queue above it"


def test_a_job_of_a_new_kind_is_found_by_those_who_meet_it() -> None:
    kept = farm(job(1))
    assert first(kept, "gpu") == 1
    kept.hang(job(2, priority=1, requirements=GPU), kept.root)
    assert (first(kept, "gpu"), first(kept)) == (2, 1)


def test_a_job_hung_into_a_closed_queue_is_not_found_until_that_opens() -> None:
    kept = farm(closed := queue(1, paused=True))
    kept.hang(job(2), closed)
    assert first(kept) is None
    closed.paused = False
    kept.settle(closed)
    assert first(kept) == 2


def test_an_empty_queue_has_no_turn() -> None:
    kept = farm(job(1))
    kept.hang(empty := queue(2, priority=1), kept.root)
    assert (turns(kept.root), empty.key) == ([1], None)
    kept.hang(job(3), empty)
    assert turns(kept.root) == [2, 1]


def test_a_queue_moves_with_all_below_it_and_with_its_agents() -> None:
    inner = queue(1, work := job(2, requirements=GPU), maximum=2)
    kept = farm(old := queue(3, inner), new := queue(4, limited := job(5), maximum=2))
    assert assign(kept, agent(tags="gpu")) == (work, [0])
    assert assign(kept, agent()) == (limited, [0])
    kept.cut(inner)
    assert assigned(kept.root, old, new, inner, work) == [1, 0, 1, 1, 1]
    assert first(kept, "gpu") == 5
    kept.hang(inner, new)
    assert assigned(kept.root, old, new, inner, work) == [2, 0, 2, 1, 1]
    assert first(kept, "gpu") is None, "the agents that it brought fill the queue"
    new.maximum = 3
    kept.settle(new)
    assert [first(kept, "gpu"), turns(kept.root)] == [5, [4]]
    limited.paused = True
    kept.settle(limited)
    assert [first(kept, "gpu"), first(kept)] == [2, None]


# --- cut ---


def test_a_job_that_is_cut_off_is_not_found() -> None:
    kept = farm(queue(1, gone := job(2), priority=1), job(3))
    assert first(kept) == 2
    kept.cut(gone)
    assert first(kept) == 3
    assert (gone.parent, gone.key, gone.standing) == (None, None, 0)
    assert turns(kept.root) == [3], "the queue has nothing left"


def test_the_agents_of_what_is_cut_off_count_no_more_above_it() -> None:
    limited = queue(1, gone := job(2), job(3, priority=-1), maximum=1, priority=1)
    kept = farm(limited, job(4))
    assert assign(kept, agent()) == (gone, [0])
    assert first(kept) == 4
    kept.cut(gone)
    assert assigned(kept.root, limited, gone) == [0, 0, 1]
    assert first(kept) == 3


def test_a_closed_job_can_be_cut_off() -> None:
    kept = farm(gone := job(1, paused=True), job(2))
    kept.cut(gone)
    assert [child.id for child in kept.root.children] == [2]


def test_requirements_change_between_cut_and_hang() -> None:
    kept = farm(work := job(1, requirements=GPU), job(2, requirements=GPU))
    kept.cut(work)
    work.requirements = Requirements()
    kept.hang(work, kept.root)
    assert (first(kept), first(kept, "gpu")) == (1, 1)
    assert in_use(kept.kinds) == {GPU: 1, Requirements(): 1}


def test_kinds_are_counted_by_the_jobs_that_hang_in_the_tree() -> None:
    kept = farm(queue(1, one := job(2, requirements=GPU)), job(3, requirements=GPU), job(4))
    assert in_use(kept.kinds) == {GPU: 2, Requirements(): 1}
    kept.cut(one)
    assert in_use(kept.kinds) == {GPU: 1, Requirements(): 1}


# --- count ---


def test_an_agent_counts_from_its_job_up_to_the_root() -> None:
    kept = farm(outer := queue(1, inner := queue(2, work := job(3), other := job(4))))
    kept.count(work, 2)
    kept.count(other, 1)
    kept.count(work, -1)
    assert assigned(kept.root, outer, inner, work, other) == [2, 2, 2, 1, 1]


def test_turns_follow_the_counts() -> None:
    kept = farm(one := job(1), other := queue(2, below := job(3)))
    kept.count(one, 1)
    assert turns(kept.root) == [2, 1]
    kept.count(below, 2)
    assert turns(kept.root) == [1, 2]
    kept.count(below, -2)
    assert (turns(kept.root), other.assigned) == ([2, 1], 0)


def test_a_maximum_closes_when_it_is_reached_and_opens_when_an_agent_goes() -> None:
    kept = farm(queue(1, inner := queue(2, work := job(3), maximum=1), priority=1), job(4))
    kept.count(work, 1)
    assert (first(kept), inner.standing) == (4, 0)
    kept.count(work, -1)
    assert first(kept) == 3


def test_a_minimum_is_owed_until_it_is_reached_and_again_when_an_agent_goes() -> None:
    kept = farm(queue(1, queue(2, work := job(3), minimum=1), priority=-1), job(4))
    assert first(kept) == 3
    kept.count(work, 1)
    assert first(kept) == 4
    kept.count(work, -1)
    assert first(kept) == 3


def test_a_job_has_begun_once_an_agent_works_on_it() -> None:
    kept = farm(begun := job(2), job(1), other := queue(9, job(3)))
    kept.root.prefer_running_jobs = True
    kept.settle_below(kept.root)
    assert turns(kept.root) == [9, 1, 2]
    kept.count(begun, 1)
    assert turns(kept.root) == [9, 2, 1]
    kept.count(begun, -1)
    assert (turns(kept.root), other.assigned) == ([9, 1, 2], 0)


# --- settle ---


def test_settings_count_from_when_the_node_is_settled() -> None:
    kept = farm(one := job(1), inner := queue(2, job(3)))
    changes: list[tuple[Queue | Job, str, Any, int | None]] = [
        (inner, "priority", 1, 3),
        (one, "priority", 2, 1),
        (one, "weight", 5, 1),
        (one, "priority", 1, 3),  # lighter than the queue
        (inner, "maximum", 0, 1),
        (one, "paused", True, None),
        (inner, "maximum", 1, 3),
        (one, "paused", False, 3),
        (one, "minimum", 1, 1),
        (inner, "minimum", 1, 3),
        (one, "weight", 11, 1),
        (one, "minimum", None, 3),
        (inner, "paused", True, 1),
    ]
    for node, setting, value, expected in changes:
        setattr(node, setting, value)
        kept.settle(node)
        assert first(kept) == expected, f"{setting} {value} of {node.id}"


def test_work_counts_from_when_its_job_is_settled() -> None:
    kept = farm(queue(1, queue(2, work := job(3, parents_done=False, waiting=Ordinals([(0, 1)])))))
    assert first(kept) is None
    work.parents_done = True
    kept.settle(work)
    assert first(kept) == 3
    work.waiting.remove([0])
    kept.settle(work)
    assert (first(kept), kept.root.line.standing) == (None, 0)
    work.waiting.add([0])
    kept.settle(work)
    assert first(kept) == 3


def test_a_minimum_deep_in_the_tree_is_noticed_at_the_root() -> None:
    kept = farm(queue(1, queue(2, work := job(3, priority=-1), job(4)), priority=-1), job(5))
    assert first(kept) == 5
    work.minimum = 1
    kept.settle(work)
    assert first(kept) == 3
    work.minimum = 0
    kept.settle(work)
    assert first(kept) == 5


def test_the_root_has_no_turn_to_settle() -> None:
    kept = farm(job(1))
    kept.settle(kept.root)
    assert first(kept) == 1


# --- settle below ---


def test_the_turns_in_a_queue_change_with_what_it_prefers() -> None:
    prefers = queue(
        9, job(1, weight=1), job(2, weight=2), begun := job(3), prefer_running_jobs=True
    )
    kept = farm(prefers)
    kept.count(begun, 1)
    assert turns(prefers) == [3, 1, 2]
    prefers.prefer_running_jobs = False
    kept.settle_below(prefers)
    assert turns(prefers) == [2, 1, 3]
    prefers.prefer_running_jobs = True
    kept.settle_below(prefers)
    assert turns(prefers) == [3, 1, 2]


def test_closed_children_stay_closed_when_the_turns_change() -> None:
    kept = farm(queue(2), job(1, paused=True))
    kept.root.prefer_running_jobs = True
    kept.settle_below(kept.root)
    assert turns(kept.root) == []


# --- close ---


def test_a_closed_job_is_found_by_nobody_until_it_is_settled() -> None:
    kept = farm(queue(1, closed := job(2), priority=1, minimum=1), job(3))
    kept.close(closed)
    assert (first(kept), turns(kept.root)) == (3, [3])
    kept.close(closed)
    assert first(kept) == 3, "twice is as once"
    kept.settle(closed)
    assert first(kept) == 2


def test_what_an_agent_failed_is_closed_only_for_as_long_as_it_is_asked_about() -> None:
    failed = {0: frozenset({agent(1).id})}
    barred = [job(n, frames="1", failed_by=failed) for n in (1, 2)]
    kept = farm(queue(9, *barred, minimum=2), online=(agent(1), agent(2)))
    before = (turns(kept.root), kept.root.line.standing)
    assert pick(kept, agent(1)) is None
    assert (turns(kept.root), kept.root.line.standing) == before
    assert pick(kept, agent(2)) is barred[0]


# --- agents ---


def test_who_comes_and_who_goes_decides_who_else_could_try() -> None:
    kept = farm(job(1, frames="1", failed_by={0: frozenset({agent(1).id})}), online=(agent(1),))
    assert first(kept) == 1
    kept.online[agent(2).id] = agent(2)
    assert first(kept) is None
    kept.online[agent(2).id] = agent(2, cpus=0)
    assert first(kept) == 1, "the other has no cpus any more"
    del kept.online[agent(2).id]
    assert first(kept) == 1
