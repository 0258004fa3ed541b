"""The next job of an agent whose work is over, found before anything is moved.

On a farm that is busy what an agent leaves is mostly the next in turn: the same job again, or one
near it. So who plays many assignments forward need not take the agent out of every line up to the
root and put it back there.
"""

from app.policy.farm import Farm, turn_with
from app.policy.kinds import owed
from app.policy.tree import Job, Queue


def following(farm: Farm, job: Job, met: int) -> tuple[Job, Queue] | None:
    """What `pick` would give to an agent that leaves the job, which still counts it.

    `met` are the open bits of what the agent meets; it is bound to no queue, and asks at once. The
    queue is the lowest that is above both jobs. None says nothing: release the agent, and pick.

    From the job upwards, with what stands in each node once the agent left: where a walk from the
    root would turn aside last is where it really does.
    """
    if job.failed_by or job.parent is None:
        return None
    found: Queue | Job | None = job
    common: Queue = job.parent
    node: Queue | Job = job
    bits = job.kind if job.waiting and job.parents_done else 0
    met_owed = owed(met)
    while (queue := node.parent) is not None:
        left, maximum, minimum = node.assigned - 1, node.maximum, node.minimum
        if not left and queue.prefer_running_jobs:
            return None  # it may be a job that nobody works on then, whose turn comes later
        if node.paused or (maximum is not None and left >= maximum):
            bits = 0
        elif minimum is not None and left < minimum:
            bits |= owed(bits & farm.kinds.open_bits)
        standing = queue.line.standing
        wanted = met_owed if (standing | bits) & met_owed else met
        first = queue.line.first(wanted) if standing & wanted else None
        if first is not node and not (bits & wanted and _goes_before(node, first, queue)):
            found, common = first, queue
        bits |= standing
        node = queue
    last = _last(found, met)
    return None if last is None else (last, common)


def _goes_before(left: Queue | Job, first: Queue | Job | None, queue: Queue) -> bool:
    """Whether a node with an agent less has its turn before the other.

    What is left has an earlier turn than before: where it was the first it still is.
    """
    if first is None:
        return True
    assert first.key is not None
    return turn_with(left, queue, left.assigned - 1, begun=True) < first.key


def _last(node: Queue | Job | None, met: int) -> Job | None:
    """Where the walk ends; None where agents failed tasks of the job: it may be closed to one."""
    while isinstance(node, Queue):
        standing = node.line.standing
        node = node.line.first(owed(met) if standing & owed(met) else met)
    return None if node is None or node.failed_by else node
