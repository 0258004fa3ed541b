"""What the page shows of the farm that the desk keeps, as rows of plain values.

Nothing is read from the database. A large farm is walked in parts, and between them the process
does what else it has to; so a picture is of about one moment.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import thread_time
from typing import NamedTuple, TypeVar

from app.jobs.reading import waits_for
from app.policy.states import JobState, agent_state, job_state
from app.policy.tree import Queue, path
from app.scheduler.kept import KeptAgent, KeptFarm, KeptJob

# A millisecond or two, between two looks at what else the process has to do.
AT_A_TIME = 200

One = TypeVar("One")


class QueueShape(NamedTuple):
    """What an operator sets of a queue. The root is the queue 0, whose parent is -1."""

    id: int
    parent: int
    name: str
    priority: int
    weight: int
    minimum: int | None
    maximum: int | None


class QueueRow(NamedTuple):
    """What goes on in or below a queue: agents, those it is entitled to, tasks, seconds.

    `entitled` is None where it is not known yet.
    """

    id: int
    assigned: int
    entitled: int | None
    waiting: int
    running: int
    paused: bool
    below: int


class JobRow(NamedTuple):
    """Of an unfinished job. How many of its tasks are done: all of them but `undone`."""

    id: int
    state: str
    waiting: int
    running: int
    failed: int
    undone: int
    assigned: int
    title: str
    queue: str
    priority: int
    reason: str | None


class AgentRow(NamedTuple):
    id: str
    state: str
    job: int | None
    title: str | None
    tasks: int


ROOT = QueueShape(0, -1, "", 0, 0, None, None)


def shape(kept: KeptFarm, queue: Queue) -> QueueShape:
    """As the queue is set; one that was deleted just now has no name."""
    if queue.parent is None:
        return ROOT
    name = kept.names.get(queue.id, "")
    limits = queue.priority, queue.weight, queue.minimum, queue.maximum
    return QueueShape(queue.id, queue.parent.id, name, *limits)


async def queues(
    kept: KeptFarm, shares: Mapping[int, int], below: Callable[[int], float]
) -> dict[int, QueueRow]:
    """The queues by id, the root among them; `shares` are what they are entitled to."""
    waiting, running = await _tasks_below(kept)
    rows: dict[int, QueueRow] = {}
    async for some in parts([kept.farm.root, *kept.queues.values()]):
        for queue in some:
            at = queue.id
            rows[at] = QueueRow(
                at,
                queue.assigned,
                shares.get(at),
                waiting.get(queue, 0),
                running.get(queue, 0),
                queue.paused,
                int(below(at)),
            )
    return rows


async def jobs(kept: KeptFarm) -> dict[int, JobRow]:
    """The unfinished jobs by id."""
    rows: dict[int, JobRow] = {}
    paths: dict[Queue | None, str] = {}
    async for some in parts(list(kept.jobs.values())):
        for one in some:
            queue = one.job.parent
            if queue not in paths:
                paths[queue] = fullpath(kept, queue)
            rows[one.job.id] = job_row(kept, one, paths[queue])
    return rows


def fullpath(kept: KeptFarm, queue: Queue | None) -> str:
    """The names from the top level down; / of the root, and of what hangs nowhere just now."""
    above = [] if queue is None else [at for at in path(queue) if at.parent is not None]
    return "/" + "/".join(kept.names.get(at.id, "…") for at in reversed(above))


def job_row(kept: KeptFarm, one: KeptJob, queue: str) -> JobRow:
    waiting, failed = len(one.job.waiting), one.undone - one.unfinished
    state = job_state(
        total=one.undone,
        waiting=waiting,
        done=0,
        failed=failed,
        assigned=one.job.assigned,
        paused=one.job.paused,
    )
    running = one.unfinished - waiting
    counts = waiting, running, failed, one.undone, one.job.assigned
    reason = _reason(kept, one) if state is JobState.QUEUED and one.parents else None
    return JobRow(one.job.id, state, *counts, one.title, queue, one.job.priority, reason)


def _reason(kept: KeptFarm, one: KeptJob) -> str | None:
    """A parent that is not done and has nothing more to do failed."""
    blocking = sorted(one.parents)
    return waits_for([parent for parent in blocking if parent not in kept.jobs], blocking)


async def agents(kept: KeptFarm) -> dict[str, AgentRow]:
    """The agents by id."""
    rows = {}
    async for some in parts(list(kept.agents.values())):
        for agent in some:
            row = agent_row(kept, agent)
            rows[row.id] = row
    return rows


def agent_row(kept: KeptFarm, agent: KeptAgent) -> AgentRow:
    state = agent_state(agent.mode, online=agent.online)
    held = agent.held
    if held is None:
        return AgentRow(str(agent.facts.id), state, None, None, 0)
    title = kept.told.title(held.job_id)
    return AgentRow(str(agent.facts.id), state, held.job_id, title, len(held.ordinals))


async def _tasks_below(kept: KeptFarm) -> tuple[dict[Queue, int], dict[Queue, int]]:
    """The waiting and the running tasks in or below each queue that has any."""
    waiting: dict[Queue, int] = {}
    running: dict[Queue, int] = {}
    async for some in parts(list(kept.jobs.values())):
        for one in some:
            queue = one.job.parent
            if queue is not None:
                waits = len(one.job.waiting)
                waiting[queue] = waiting.get(queue, 0) + waits
                running[queue] = running.get(queue, 0) + one.unfinished - waits
    return await _added_up(waiting), await _added_up(running)


async def _added_up(right_in: dict[Queue, int]) -> dict[Queue, int]:
    """What is right in queues, added to all above them."""
    below: dict[Queue, int] = {}
    async for some in parts([(queue, number) for queue, number in right_in.items() if number]):
        for queue, number in some:
            above: Queue | None = queue
            while above is not None:
                below[above] = below.get(above, 0) + number
                above = above.parent
    return below


class Away:
    """The processor's seconds that others of the thread had while somebody walked a farm."""

    seconds = 0.0


async def parts(every: Sequence[One], size: int = AT_A_TIME) -> AsyncIterator[Sequence[One]]:
    """What there is in parts, between which others have the processor."""
    for first in range(0, len(every), size):
        if first:
            left = thread_time()
            await asyncio.sleep(0)
            Away.seconds += thread_time() - left
        yield every[first : first + size]
