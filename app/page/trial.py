"""A copy of the tree, to try on what a change would do."""

from app.figures.picture import parts
from app.policy.ordinals import Ordinals
from app.policy.states import Mode
from app.policy.tree import Job, Queue
from app.scheduler.kept import KeptFarm


def agents_that_may_work(kept: KeptFarm) -> int:
    """How many there are to be shared out: those that are online and enabled."""
    return sum(agent.online and agent.mode == Mode.ENABLED for agent in kept.agents.values())


async def copied(kept: KeptFarm) -> dict[int, Queue]:
    """Copies of all queues by id, jobs in them, for who looks at them while the farm changes.

    0: the root.
    """
    root = kept.farm.root
    copies = {root.id: _queue(root)}
    order = [root]
    while order:
        level, order = order, []
        async for some in parts(level):
            for queue in some:
                order += _copy_children(queue, copies)
    return copies


def _copy_children(queue: Queue, copies: dict[int, Queue]) -> list[Queue]:
    """Hang copies of the queue's children below its own; those of them that are queues."""
    below = []
    for child in queue.children:
        if isinstance(child, Job):
            copies[queue.id].add(_job(child))
        elif child.id not in copies:  # one that moved meanwhile is met once
            copies[child.id] = _queue(child)
            copies[queue.id].add(copies[child.id])
            below.append(child)
    return below


def _queue(queue: Queue) -> Queue:
    return Queue(
        id=queue.id,
        priority=queue.priority,
        weight=queue.weight,
        minimum=queue.minimum,
        maximum=queue.maximum,
        paused=queue.paused,
        assigned=queue.assigned,
        prefer_running_jobs=queue.prefer_running_jobs,
    )


def _job(job: Job) -> Job:
    return Job(
        id=job.id,
        priority=job.priority,
        weight=job.weight,
        minimum=job.minimum,
        maximum=job.maximum,
        paused=job.paused,
        assigned=job.assigned,
        frames=job.frames,
        waiting=Ordinals(job.waiting.ranges),
        batch=job.batch,
        parents_done=job.parents_done,
    )
