"""The next job of an agent whose work is over, found before anything is moved.

On a farm that is busy what an agent leaves is mostly the next in turn: the same job again, or one
near it. So who plays many assignments forward need not take the agent out of every line up to the
root and put it back there.
"""

from app.policy.farm import Farm, turn_with
from app.policy.kinds import owed
from app.policy.tree import Job, Queue


def following(farm: Farm, job: Job, met: int) -> Job | None:
    """What `pick` would give to an agent that leaves the job, which still counts it.

    `met` are the open bits of what the agent meets; it is bound to no queue, and asks at once. None
    says nothing: release the agent, and pick.

    From the job upwards, with what stands in each node once the agent left: where a walk from the
    root would turn aside last is where it really does.
    """
    if job.failed_by:
        return None
    found: Queue | Job | None = job
    node: Queue | Job = job
    bits = job.kind if job.waiting and job.parents_done else 0
    while (queue := node.parent) is not None:
        left, maximum, minimum = node.assigned - 1, node.maximum, node.minimum
        if not left and queue.prefer_running_jobs:
            return None  # it may be a job that nobody works on then, whose turn comes later
        if node.paused or (maximum is not None and left >= maximum):
            bits = 0
        elif minimum is not None and left < minimum:
            bits |= owed(bits & farm.kinds.open_bits)
        chosen = _first(queue, node, bits, met)
        if chosen is not node:
            found = chosen
        bits |= queue.line.standing
        node = queue
    return _last(found, met)


def _first(queue: Queue, left: Queue | Job, bits: int, met: int) -> Queue | Job | None:
    """Whose turn it is in the queue, where one of its children has an agent less, and these bits.

    What is left has an earlier turn than before: where it was the first it still is.
    """
    line = queue.line
    standing = line.standing
    if (standing | bits) & met << 1:  # something is owed
        met = owed(met)
    if not standing & met:
        return left if bits & met else None
    first = line.first(met)
    if first is left or not bits & met:
        return first
    assert first.key is not None
    return left if turn_with(left, queue, left.assigned - 1, begun=True) < first.key else first


def _last(node: Queue | Job | None, met: int) -> Job | None:
    """Where the walk ends; None where agents failed tasks of the job: it may be closed to one."""
    while isinstance(node, Queue):
        standing = node.line.standing
        node = node.line.first(owed(met) if standing & owed(met) else met)
    return None if node is None or node.failed_by else node
