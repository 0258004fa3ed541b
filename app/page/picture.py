"""What the page shows of the farm that the desk keeps, as rows of plain values.

Nothing is read from the database. A large farm is walked in parts, and between them the process
does what else it has to; so a picture is of about one moment.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from time import perf_counter
from typing import NamedTuple, TypeVar

from app.policy.states import agent_state, job_state
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
    """What goes on in or below a queue: agents, those it is entitled to, tasks, seconds."""

    id: int
    assigned: int
    entitled: int
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


class AgentRow(NamedTuple):
    id: str
    state: str
    job: int | None
    title: str | None
    tasks: int


def shapes(kept: KeptFarm) -> dict[int, QueueShape]:
    """All queues as they are set, parents before their children, siblings by name."""
    found = {0: QueueShape(0, -1, "", 0, 0, None, None)}
    rest = [kept.farm.root]
    while rest:
        queue = rest.pop()
        below = [child for child in queue.children if isinstance(child, Queue)]
        for child in sorted(below, key=lambda one: kept.names[one.id].casefold()):
            found[child.id] = QueueShape(
                child.id,
                queue.id,
                kept.names[child.id],
                child.priority,
                child.weight,
                child.minimum,
                child.maximum,
            )
            rest.append(child)
    return found


async def queues(
    kept: KeptFarm, shares: Mapping[int, int], below: Callable[[int], float]
) -> dict[int, QueueRow]:
    """The queues by id, the root among them; `shares` are what they are entitled to."""
    waiting, running = await _tasks_below(kept)
    rows: dict[int, QueueRow] = {}
    async for queue in unhurried([kept.farm.root, *kept.queues.values()]):
        rows[queue.id] = QueueRow(
            queue.id,
            queue.assigned,
            shares.get(queue.id, 0),
            waiting.get(queue.id, 0),
            running.get(queue.id, 0),
            queue.paused,
            int(below(queue.id)),
        )
    return rows


async def jobs(kept: KeptFarm) -> dict[int, JobRow]:
    """The unfinished jobs by id."""
    return {one.job.id: job_row(one) async for one in unhurried(list(kept.jobs.values()))}


def job_row(one: KeptJob) -> JobRow:
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
    return JobRow(one.job.id, state, waiting, running, failed, one.undone, one.job.assigned)


async def agents(kept: KeptFarm) -> dict[str, AgentRow]:
    """The agents by id."""
    rows = {}
    async for agent in unhurried(list(kept.agents.values())):
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


async def _tasks_below(kept: KeptFarm) -> tuple[dict[int, int], dict[int, int]]:
    """The waiting and the running tasks in or below each queue that has any."""
    at: dict[Queue, list[int]] = {}
    async for one in unhurried(list(kept.jobs.values())):
        if one.job.parent is not None:
            both = at.setdefault(one.job.parent, [0, 0])
            waiting = len(one.job.waiting)
            both[0] += waiting
            both[1] += one.unfinished - waiting
    waiting_below: dict[int, int] = {}
    running_below: dict[int, int] = {}
    async for queue, (waiting, running) in unhurried(list(at.items())):
        for above in path(queue):
            waiting_below[above.id] = waiting_below.get(above.id, 0) + waiting
            running_below[above.id] = running_below.get(above.id, 0) + running
    return waiting_below, running_below


class Away:
    """How long, in seconds, those who walk a farm have let others have the processor."""

    seconds = 0.0


async def unhurried(every: Sequence[One]) -> AsyncIterator[One]:
    for place, one in enumerate(every):
        if place % AT_A_TIME == AT_A_TIME - 1:
            left = perf_counter()
            await asyncio.sleep(0)
            Away.seconds += perf_counter() - left
        yield one
