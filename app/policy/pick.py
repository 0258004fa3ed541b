"""Which job an agent works on next: for one state and one agent there is one right answer.

A node is *open* for an agent when it can use it now, and *owed* when it is open and it, or
something below it, has fewer agents than its minimum. From the root down, the walk goes into the
open child whose turn it is, owed ones before all others.
"""

from collections.abc import Iterable, Iterator
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


def pick(farm: Farm, agent: Agent) -> Job | None:
    """The job whose turn it is for this agent, None where nothing is open for it."""
    standings: dict[Node, Standing] = {}
    if not _look(farm.root, farm, agent, standings).open:
        return None
    node: Queue | Job = farm.root
    while isinstance(node, Queue):
        node = _next_child(node, standings)
    return node


def assign(farm: Farm, agent: Agent) -> tuple[Job, list[int]] | None:
    """Pick for the agent, and count it: the ordinals of its tasks no longer wait."""
    job = pick(farm, agent)
    if job is None:
        return None
    ordinals = next_batch(job, agent, farm.online)
    job.waiting.remove(ordinals)
    for node in path(job):
        node.assigned += 1
    return job, ordinals


def assign_in_turn(farm: Farm, agents: Iterable[Agent]) -> Iterator[tuple[Agent, Job, list[int]]]:
    """Assign to each agent in turn; those that get nothing are left out.

    While agents are only added nothing opens, so that where one agent found nothing, no other like
    it is tried.
    """
    found_nothing: set[tuple[object, ...]] = set()
    blamed = _failed_something(farm.root)
    for agent in agents:
        alike = (agent.cpus, agent.free_ram, agent.tags, agent.id if agent.id in blamed else None)
        if alike in found_nothing:
            continue
        assigned = assign(farm, agent)
        if assigned is None:
            found_nothing.add(alike)
        else:
            yield agent, *assigned


def _failed_something(node: Queue | Job) -> frozenset[UUID]:
    """The agents that failed a task which waits again; they are like no other."""
    if isinstance(node, Queue):
        return frozenset().union(*map(_failed_something, node.children))
    return frozenset().union(*node.failed_by.values())


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


def _look(node: Queue | Job, farm: Farm, agent: Agent, standings: dict[Node, Standing]) -> Standing:
    """Whether the node is open for the agent and owed it; its children's standings are kept too."""
    if isinstance(node, Queue):
        standing = _look_into(node, farm, agent, standings)
    else:
        is_open = _job_is_open(node, farm, agent)
        standing = Standing(is_open, is_open and node.below_minimum)
    standings[node] = standing
    return standing


def _look_into(queue: Queue, farm: Farm, agent: Agent, standings: dict[Node, Standing]) -> Standing:
    if queue.paused or queue.full:
        return CLOSED
    below = [_look(child, farm, agent, standings) for child in queue.children]
    is_open = any(child.open for child in below)
    owed = is_open and (queue.below_minimum or any(child.owed for child in below))
    return Standing(is_open, owed)


def _job_is_open(job: Job, farm: Farm, agent: Agent) -> bool:
    return (
        not job.paused
        and job.parents_done
        and not job.full
        and meets(agent, job.requirements)
        and takes_any(job, agent, farm.online)
    )
