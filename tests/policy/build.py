"""Small farms for examples: every node and agent has an id, all else is plain unless said."""

from typing import Any
from uuid import UUID

from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.frames import parse
from app.policy.ordinals import Ordinals
from app.policy.tree import Job, Queue

PLENTY = 1000


def agent(
    number: int = 1,
    *,
    cpus: int = 8,
    free_ram: int = 16384,
    tags: str = "",
    within: int | None = None,
) -> Agent:
    """`tags` are words; `within` is a queue's id."""
    return Agent(UUID(int=number), cpus, free_ram, frozenset(tags.split()), within)


def job(number: int, *, frames: str = f"1-{PLENTY}", num_tiles: int = 1, **settings: Any) -> Job:
    """All its tasks wait."""
    waiting = Ordinals([(0, len(parse(frames)) * num_tiles)])
    fields: dict[str, Any] = {"waiting": waiting, "num_tiles": num_tiles} | settings
    return Job(id=number, frames=frames, **fields)


def queue(number: int, *children: Queue | Job, **settings: Any) -> Queue:
    """Only `assigned` is not counted from below: it is given where it matters."""
    made = Queue(id=number, **settings)
    for child in children:
        made.add(child)
    return made


def farm(*top: Queue | Job, online: tuple[Agent, ...] = (agent(),)) -> Farm:
    return Farm(queue(0, *top), online)
