"""Why a job or a queue gets no agent now, or which one it gets: the walk, and what is in the way.

Whatever is said of what would be is tried with `pick` on the farm itself, and taken back.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from uuid import UUID

from app.policy.changes import Change, freed, made
from app.policy.crew import Census, Crew, Hand, Nearly, census, census_of_queue
from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.obstacles import Closed, Lack, Obstacle, closed_above
from app.policy.pick import find, pick, start
from app.policy.steps import Step, steps_to
from app.policy.tree import Job, Queue, path

HIGHEST_PRIORITY = 1_000

# Agents that are tried; those of one sort would all get the same.
TRIED = 32

# Values that are tried of what a job asks, where no agent can do it.
VALUES = 20

NOBODY = UUID(int=0)

_Field = tuple[str, int | frozenset[str]]  # of what a job requires, by its name


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of `node`.

    The `steps` are the walk of `agent`; with the id `NOBODY` that is one just as the job asks for,
    where no real one can do it. Where `frees` is a job, the agent is busy with it, and the walk is
    the one after it, as the agent will be then. `gets` says that this agent would get the node's
    work, which only one of the crew can. `change` is the smallest single one after which it would,
    or where none can do it, after which `change_for` would, once it is done with `change_frees`;
    None where there is none or none is needed.
    """

    node: Queue | Job
    closed: list[Closed]
    census: Census
    agent: Agent
    frees: Job | None
    steps: list[Step]
    gets: bool
    change: Change | None
    change_for: Agent
    change_frees: Job | None


def verdict(farm: Farm, node: Queue | Job, crew: Crew, asked: Agent | None = None) -> Verdict:
    """`asked` is the agent in question; without one, whichever is nearest to getting the work."""
    able = _able(farm, node, crew)
    hand = _nearest(farm, node, able) if asked is None else crew.hand(asked.id)
    frees = None if hand is None else hand[1]
    agent = (asked or _as_asked(node)) if hand is None else crew.once_free(hand)
    closed = closed_above(node)
    with freed(farm, frees):
        steps = way(farm, agent, node)
        gets = hand is not None and _gets(farm, agent, node)
    tries = () if gets else _tries(node, closed, steps, crew, asked, hand, able)
    change, for_whom = next(
        ((change, one) for change, one in tries if _would(farm, change, one, node, crew)),
        (None, (agent, frees)),
    )
    change_for = crew.once_free(for_whom)
    return Verdict(
        *(node, closed, able, agent, frees, steps, gets), change, change_for, for_whom[1]
    )


def way(farm: Farm, agent: Agent, node: Queue | Job) -> list[Step]:
    """The agent's way down to the node; jobs that it is barred from are closed on it."""
    closed: list[Job] = []
    try:
        find(farm, agent, closed)
        return steps_to(node, farm.kinds.met_by(agent), start(farm, agent.within) or farm.root)
    finally:
        for each in closed:
            farm.settle(each)


def _able(farm: Farm, node: Queue | Job, crew: Crew) -> Census:
    if isinstance(node, Job):
        return census(node, crew, farm.online)
    return census_of_queue(farm, node, crew)


def _nearest(farm: Farm, node: Queue | Job, able: Census) -> Hand | None:
    """An idle one that gets the work, any idle one, a busy one; or none."""
    for hand in able.idle[:TRIED]:
        if _gets(farm, hand[0], node):
            return hand
    return next(iter(able.idle or able.busy), None)


def _as_asked(node: Queue | Job) -> Agent:
    """One that is not there."""
    required = node.requirements if isinstance(node, Job) else Requirements()
    return Agent(NOBODY, required.cpus, required.ram, required.required_tags)


def _gets(farm: Farm, agent: Agent, node: Queue | Job) -> bool:
    job = pick(farm, agent)
    return job is not None and any(at is node for at in path(job))


def _would(farm: Farm, change: Change, hand: Hand, node: Queue | Job, crew: Crew) -> bool:
    """Whether the agent would get the node's work, now or once it is free, after the change."""
    with freed(farm, hand[1]), made(farm, change):
        return _gets(farm, crew.once_free(hand), node)


def _tries(
    node: Queue | Job,
    closed: Sequence[Closed],
    steps: Sequence[Step],
    crew: Crew,
    asked: Agent | None,
    hand: Hand | None,
    able: Census,
) -> Iterator[tuple[Change, Hand]]:
    """Changes that might do, the smallest first, each with the agent that it is for."""
    if closed:
        opened = _opening(closed[0]) if len(closed) == 1 else None
        if opened is not None and hand is not None:
            yield opened, hand
    elif isinstance(node, Job) and not (hand if asked is None else able.has(asked.id)):
        for nearly in (able.nearly_idle, able.nearly_busy):
            some = [one for one in nearly if asked is None or one[0][0].id == asked.id]
            yield from _asking_less(node, some, crew)
    elif hand is not None:
        for change in _overtaking(node, steps):
            yield change, hand


def _opening(closed: Closed) -> Change | None:
    if closed.obstacle is Obstacle.PAUSED:
        return Change(closed.node, "paused", value=False)
    if closed.obstacle in {Obstacle.MAXIMUM, Obstacle.CLOSED}:
        return Change(closed.node, "maximum", closed.node.assigned + 1)
    return None


def _asking_less(job: Job, nearly: Nearly, crew: Crew) -> Iterator[tuple[Change, Hand]]:
    """What the job could ask instead, where it is one thing that agents lack."""
    required = job.requirements
    hands: defaultdict[_Field, list[Hand]] = defaultdict(list)
    for hand, lack in nearly:
        field = _asking_for(required, hand, lack, crew)
        if field is not None:
            hands[field].append(hand)
    for name, value in nsmallest(VALUES, hands, key=lambda one: _given_up(required, *one)):
        for hand in hands[name, value][:TRIED]:
            yield Change(job, name, value), hand


def _given_up(required: Requirements, name: str, value: int | frozenset[str]) -> float:
    """How much less is asked: which part of a number, or how many tags."""
    before = getattr(required, name)
    return float((before - value) / before if isinstance(value, int) else len(before - value))


def _asking_for(required: Requirements, hand: Hand, lack: Lack, crew: Crew) -> _Field | None:
    """What the agent has; None where it may have enough once it is free."""
    obstacle, tags = lack
    match obstacle:
        case Obstacle.TAGS_MISSING:
            return "required_tags", required.required_tags - tags
        case Obstacle.TAGS_EXCLUDED:
            return "excluded_tags", required.excluded_tags - tags
        case Obstacle.CPUS:
            return "cpus", hand[0].cpus
        case Obstacle.RAM if crew.knows_ram(agent := crew.once_free(hand)):
            return "ram", agent.free_ram
        case _:
            return None


def _overtaking(node: Queue | Job, steps: Sequence[Step]) -> Iterator[Change]:
    """More priority where the way is lost first, or a minimum, which counts all the way up."""
    lost = next((step for step in steps if step.place != 1), None)
    if lost is not None and lost.other is not None:
        ahead = lost.other.priority
        for priority in (ahead, ahead + 1):
            if lost.node.priority < priority <= HIGHEST_PRIORITY:
                yield Change(lost.node, "priority", priority)
    if not node.below_minimum and (node.maximum is None or node.maximum > node.assigned):
        yield Change(node, "minimum", node.assigned + 1)
