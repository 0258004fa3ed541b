"""Why a job or a queue gets no agent now, or which one it gets: the walk, and what is in the way.

Whatever is said of what would be is tried with `pick` on the farm itself, and taken back.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.policy.changes import Change, freed, made
from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.obstacles import Census, Closed, Obstacle, census, closed_above, unfit
from app.policy.pick import find, pick, start
from app.policy.steps import Step, steps_to
from app.policy.tree import Job, Queue, path

HIGHEST_PRIORITY = 1_000

# Idle agents that are tried; those of one sort would all get the same.
TRIED = 32

NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Crew:
    """The agents that are online and may have work; those that have some, with the job."""

    idle: Sequence[Agent]
    busy: Mapping[Agent, Job]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of `node`.

    The `steps` are the walk of `agent`; with the id `NOBODY` that is one just as the job asks for,
    where no real one can do it. Where `frees` is a job, the agent is busy with it, and the walk is
    the one after it. `gets` says that this agent would get the node's work. `change` is the
    smallest single one after which it would, or where none can do it, after which `change_for`
    would; None where there is none or none is needed.
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


def verdict(farm: Farm, node: Queue | Job, crew: Crew, asked: Agent | None = None) -> Verdict:
    """`asked` is the agent in question; without one, whichever is nearest to getting the work."""
    online = farm.online.values()
    able = _able(farm, node, crew, online)
    agent = asked or _nearest(farm, node, able)
    frees = crew.busy.get(agent)
    closed = closed_above(node)
    with freed(farm, frees):
        steps = way(farm, agent, node)
        gets = agent.id != NOBODY and _gets(farm, agent, node)
    tries = () if gets else _changes(node, closed, steps, crew, agent, able, online)
    change, change_for = next(
        (tried for tried in tries if _would(farm, *tried, node, crew)), (None, agent)
    )
    return Verdict(node, closed, able, agent, frees, steps, gets, change, change_for)


def way(farm: Farm, agent: Agent, node: Queue | Job) -> list[Step]:
    """The agent's way down to the node; jobs that it is barred from are closed on it."""
    closed: list[Job] = []
    try:
        find(farm, agent, closed)
        return steps_to(node, farm.kinds.met_by(agent), start(farm, agent.within) or farm.root)
    finally:
        for each in closed:
            farm.settle(each)


def _able(farm: Farm, node: Queue | Job, crew: Crew, online: Collection[Agent]) -> Census:
    if isinstance(node, Job):
        return census(node, crew.idle, crew.busy, online)
    standing = node.line.standing
    idle = [agent for agent in crew.idle if farm.kinds.met_by(agent) & standing]
    busy = [agent for agent in crew.busy if farm.kinds.met_by(agent) & standing]
    return Census(idle, busy, [])


def _nearest(farm: Farm, node: Queue | Job, able: Census) -> Agent:
    """An idle one that gets the work, any idle one, a busy one; or one that is not there."""
    for agent in able.idle[:TRIED]:
        if _gets(farm, agent, node):
            return agent
    for agents in (able.idle, able.busy):
        if agents:
            return agents[0]
    required = node.requirements if isinstance(node, Job) else Requirements()
    return Agent(NOBODY, required.cpus, required.ram, required.required_tags)


def _gets(farm: Farm, agent: Agent, node: Queue | Job) -> bool:
    job = pick(farm, agent)
    return job is not None and any(at is node for at in path(job))


def _would(farm: Farm, change: Change, agent: Agent, node: Queue | Job, crew: Crew) -> bool:
    """Whether the agent would get the node's work, now or once it is free, after the change."""
    with freed(farm, crew.busy.get(agent)), made(farm, change):
        return _gets(farm, agent, node)


def _changes(
    node: Queue | Job,
    closed: Sequence[Closed],
    steps: Sequence[Step],
    crew: Crew,
    agent: Agent,
    able: Census,
    online: Collection[Agent],
) -> Iterator[tuple[Change, Agent]]:
    """Changes that might do, the smallest first, each with the agent that it is for."""
    if closed:
        opened = _opening(closed[0]) if len(closed) == 1 else None
        if opened is not None and agent.id != NOBODY:
            yield opened, agent
    elif isinstance(node, Job) and agent not in able.idle and agent not in able.busy:
        for other in (*crew.idle, *crew.busy) if agent.id == NOBODY else (agent,):
            asks_less = _asking_less(node, other, online)
            if asks_less is not None:
                yield asks_less, other
                return
    elif agent.id != NOBODY:
        for change in _overtaking(node, steps):
            yield change, agent


def _opening(closed: Closed) -> Change | None:
    if closed.obstacle is Obstacle.PAUSED:
        return Change(closed.node, "paused", value=False)
    if closed.obstacle in {Obstacle.MAXIMUM, Obstacle.CLOSED}:
        return Change(closed.node, "maximum", closed.node.assigned + 1)
    return None


def _asking_less(job: Job, agent: Agent, online: Collection[Agent]) -> Change | None:
    """What the job would have to ask instead, where it is one thing that the agent lacks."""
    lacks = unfit(agent, job, online)
    if len(lacks) != 1:
        return None
    required, (obstacle, tags) = job.requirements, lacks[0]
    match obstacle:
        case Obstacle.TAGS_MISSING:
            return Change(job, "required_tags", required.required_tags - tags)
        case Obstacle.TAGS_EXCLUDED:
            return Change(job, "excluded_tags", required.excluded_tags - tags)
        case Obstacle.CPUS:
            return Change(job, "cpus", agent.cpus)
        case Obstacle.RAM:
            return Change(job, "ram", agent.free_ram)
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
