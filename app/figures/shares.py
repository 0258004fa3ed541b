"""What queues are entitled to, as often as a small part of a core can tell it.

Of a farm of thousands of nodes it takes long to say: it is done in a thread, over a copy of the
tree, and the page shows the latest until then.
"""

import asyncio
from time import monotonic

from app.figures.picture import parts
from app.policy.entitled import entitled
from app.policy.ordinals import Ordinals
from app.policy.states import Mode
from app.policy.tree import Job, Queue
from app.scheduler.kept import KeptFarm

# Of one core, at most.
PART = 0.02

# So few nodes take a millisecond or two: nobody needs a thread for them.
FEW = 100


class Shares:
    """The entitled agents of each queue by its id, as they were a moment ago."""

    def __init__(self) -> None:
        self.latest: dict[int, int] = {}
        self._next = 0.0
        self._under_way: asyncio.Task[None] | None = None

    async def look(self, kept: KeptFarm) -> None:
        """Bring `latest` up to date if it is time to; of a large farm it is so a little later."""
        if self._under_way is not None:
            if not self._under_way.done():
                return
            self._under_way.result()
            self._under_way = None
        if monotonic() < self._next:
            return
        if len(kept.jobs) + len(kept.queues) <= FEW:
            await self._count(kept)
        else:
            self._under_way = asyncio.create_task(self._count(kept), name="shares")

    def end(self) -> None:
        if self._under_way is not None:
            self._under_way.cancel()

    async def _count(self, kept: KeptFarm) -> None:
        copies = await copied(kept)
        agents = agents_that_may_work(kept)
        began = monotonic()
        if len(kept.jobs) + len(kept.queues) <= FEW:
            found = entitled(copies[0], agents)
        else:
            found = await asyncio.to_thread(entitled, copies[0], agents)
        self._next = monotonic() + (monotonic() - began) / PART
        shares = {node.id: share for node, share in found.items() if isinstance(node, Queue)}
        if shares != self.latest:
            self.latest = shares


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
