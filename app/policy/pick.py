"""Which job an agent works on next: for one state and one agent there is one right answer.

A node is *open* for an agent when it can use it now, and *owed* when it is open and it, or
something below it, has fewer agents than its minimum. From the root down, the walk goes into the
open child whose turn it is, owed ones before all others.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from app.policy.batch import next_batch, takes_any
from app.policy.fit import Agent, meets
from app.policy.tree import Farm, Job, Node, Queue, path


class Standing(NamedTuple):
    open: bool
    owed: bool


CLOSED = Standing(open=False, owed=False)

# Two different shares a/w with weights up to 1,000,000 are at least 1/10¹² apart, so scaled by it
# and cut to whole numbers they still compare as the exact fractions do.
_SHARE_SCALE = 10**12


@dataclass(frozen=True, slots=True)
class _View:
    """How the farm stands for one kind of agents: those that no job can tell apart."""

    agent: Agent  # any of them
    online: tuple[Agent, ...]
    standings: dict[Node, Standing] = field(default_factory=dict)


def pick(farm: Farm, agent: Agent) -> Job | None:
    """The job whose turn it is for this agent, None where nothing is open for it."""
    return _walk(farm.root, _view(farm, agent))


def assign(farm: Farm, agent: Agent) -> tuple[Job, list[int]] | None:
    """Pick for the agent, and count it: the ordinals of its tasks no longer wait."""
    job = pick(farm, agent)
    return None if job is None else (job, _count(job, agent, farm))


def assign_in_turn(farm: Farm, agents: Iterable[Agent]) -> Iterator[tuple[Agent, Job, list[int]]]:
    """Assign to each agent in turn; those that get nothing are left out.

    The tree is looked at once for each kind of agents. An assignment changes how the nodes above
    its job stand, and no others: these are looked at again.
    """
    views: dict[Hashable, _View] = {}
    blamed = _failed_something(farm.root)
    for agent in agents:
        kind = (agent.cpus, agent.free_ram, agent.tags, agent.id if agent.id in blamed else None)
        if kind not in views:
            views[kind] = _view(farm, agent)
        job = _walk(farm.root, views[kind])
        if job is None:
            continue
        ordinals = _count(job, agent, farm)
        for view in views.values():
            for node in path(job):
                view.standings[node] = _standing(node, view)
        yield agent, job, ordinals


def _count(job: Job, agent: Agent, farm: Farm) -> list[int]:
    """Let the agent have the job's next tasks; their ordinals."""
    ordinals = next_batch(job, agent, farm.online)
    job.waiting.remove(ordinals)
    for node in path(job):
        node.assigned += 1
    return ordinals


def _failed_something(node: Queue | Job) -> frozenset[UUID]:
    """The agents that failed a task which waits again; they are like no other."""
    if isinstance(node, Queue):
        return frozenset().union(*map(_failed_something, node.children))
    return frozenset().union(*node.failed_by.values())


def _walk(root: Queue, view: _View) -> Job | None:
    if not view.standings[root].open:
        return None
    node: Queue | Job = root
    while isinstance(node, Queue):
        node = _next_child(node, view.standings)
    return node


def _next_child(queue: Queue, standings: dict[Node, Standing]) -> Queue | Job:
    candidates = [child for child in queue.children if standings[child].open]
    owed = [child for child in candidates if standings[child].owed]
    return min(owed or candidates, key=lambda child: turn(child, queue))


def turn(node: Queue | Job, parent: Queue) -> tuple[int, ...]:
    """Sort key between the open children of one queue; the smallest goes first."""
    not_begun = parent.prefer_running_jobs and isinstance(node, Job) and node.assigned == 0
    if not_begun:
        return (-node.priority, True, node.id)  # the oldest first; none of the rules below
    return (
        -node.priority,
        False,
        node.weight == 0,  # leftovers only
        node.assigned * _SHARE_SCALE // (node.weight or 1),  # agents per unit of weight
        -node.weight,
        isinstance(node, Queue),  # a job before a queue
        node.id,
    )


def _view(farm: Farm, agent: Agent) -> _View:
    view = _View(agent, farm.online)
    _look(farm.root, view)
    return view


def _look(node: Queue | Job, view: _View) -> None:
    """Find how the node and all that is open below it stand."""
    if isinstance(node, Queue) and not _closed(node):
        for child in node.children:
            _look(child, view)
    view.standings[node] = _standing(node, view)


def _standing(node: Queue | Job, view: _View) -> Standing:
    """How a node stands, those directly below it being known. What is closed stays closed."""
    if isinstance(node, Job):
        is_open = _job_is_open(node, view)
        return Standing(is_open, is_open and node.below_minimum)
    if _closed(node):
        return CLOSED
    below = [view.standings[child] for child in node.children]
    is_open = any(child.open for child in below)
    owed = is_open and (node.below_minimum or any(child.owed for child in below))
    return Standing(is_open, owed)


def _closed(queue: Queue) -> bool:
    return queue.paused or queue.full


def _job_is_open(job: Job, view: _View) -> bool:
    return (
        not job.paused
        and job.parents_done
        and not job.full
        and meets(view.agent, job.requirements)
        and takes_any(job, view.agent, view.online)
    )
