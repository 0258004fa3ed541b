"""What queues are entitled to, as often as a small part of a core can tell it.

Of a farm of thousands of nodes it takes long to say: it is done in a thread, over a copy of the
tree, and the page shows the latest until then.
"""

import asyncio
from time import monotonic

from app.page.picture import unhurried
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
        root, nodes = await _copy(kept)
        agents = sum(_counts(agent.mode, agent.online) for agent in kept.agents.values())
        began = monotonic()
        if nodes <= FEW:
            found = entitled(root, agents)
        else:
            found = await asyncio.to_thread(entitled, root, agents)
        self._next = monotonic() + (monotonic() - began) / PART
        shares = {node.id: share for node, share in found.items() if isinstance(node, Queue)}
        if shares != self.latest:
            self.latest = shares


def _counts(mode: str, online: bool) -> bool:
    return online and mode == Mode.ENABLED


async def _copy(kept: KeptFarm) -> tuple[Queue, int]:
    """The tree as it is, for who looks at it while it changes, and its number of nodes."""
    root = kept.farm.root
    copies = {root.id: _queue(root)}
    order = [root]
    nodes = 0
    while order:
        level, order = order, []
        async for queue in unhurried(level):
            for child in list(queue.children):
                nodes += 1
                if isinstance(child, Job):
                    copies[queue.id].add(_job(child))
                elif child.id not in copies:  # one that moved meanwhile is met once
                    copies[child.id] = _queue(child)
                    copies[queue.id].add(copies[child.id])
                    order.append(child)
    return copies[root.id], nodes


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
