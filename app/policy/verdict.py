"""Why a job or a queue gets no agent now, or which one it gets: the walk, and what is in the way.

Whatever is said of what would be is tried with `pick` on the farm itself, and taken back.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from uuid import UUID

from app.policy.changes import Change, freed, made
from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.obstacles import Census, Closed, Lack, Nearly, Obstacle, census, closed_above
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
class Crew:
    """The agents that are online and may have work; those that have some, with the job.

    Busy ones are told as they will be once they are free, as far as is known: `ram` says how much
    memory they have in all, where that may come to more.
    """

    idle: Sequence[Agent]
    busy: Mapping[Agent, Job]
    ram: Mapping[UUID, int] = field(default_factory=dict)

    def has(self, agent: Agent) -> bool:
        return agent in self.busy or agent in self.idle

    def knows_ram(self, agent: Agent) -> bool:
        return self.ram.get(agent.id, agent.free_ram) <= agent.free_ram


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of `node`.

    The `steps` are the walk of `agent`; with the id `NOBODY` that is one just as the job asks for,
    where no real one can do it. Where `frees` is a job, the agent is busy with it, and the walk is
    the one after it. `gets` says that this agent would get the node's work, which only one of the
    crew can. `change` is the smallest single one after which it would, or where none can do it,
    after which `change_for` would; None where there is none or none is needed.
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
    able = _able(farm, node, crew)
    agent = asked or _nearest(farm, node, able)
    frees = crew.busy.get(agent)
    closed = closed_above(node)
    with freed(farm, frees):
        steps = way(farm, agent, node)
        gets = crew.has(agent) and _gets(farm, agent, node)
    tries = () if gets else _tries(node, closed, steps, crew, agent, able)
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


def _able(farm: Farm, node: Queue | Job, crew: Crew) -> Census:
    if isinstance(node, Job):
        return census(node, crew.idle, crew.busy, farm.online.values())
    bounds = {agent.within for agent in (*crew.idle, *crew.busy)}
    reached = {within: _reached(farm, node, within) for within in bounds}
    idle, busy = (
        [agent for agent in agents if farm.kinds.met_by(agent) & reached[agent.within]]
        for agents in (crew.idle, crew.busy)
    )
    return Census(idle, busy, [], [], [])


def _reached(farm: Farm, queue: Queue, within: int | None) -> int:
    """The bits of what is open in the queue for agents that are bound to `within`."""
    bound = farm.root if within is None else farm.queues.get(within)
    if bound is None:
        return 0
    if bound in path(queue):
        return queue.line.standing
    above = list(path(bound))
    if queue not in above or any(at.paused or at.full for at in above[: above.index(queue)]):
        return 0
    return bound.line.standing


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


def _tries(
    node: Queue | Job,
    closed: Sequence[Closed],
    steps: Sequence[Step],
    crew: Crew,
    agent: Agent,
    able: Census,
) -> Iterator[tuple[Change, Agent]]:
    """Changes that might do, the smallest first, each with the agent that it is for."""
    if closed:
        opened = _opening(closed[0]) if len(closed) == 1 else None
        if opened is not None and crew.has(agent):
            yield opened, agent
    elif isinstance(node, Job) and agent not in able.idle and agent not in able.busy:
        for nearly in (able.nearly_idle, able.nearly_busy):
            some = [one for one in nearly if agent.id in (NOBODY, one[0].id)]
            yield from _asking_less(node, some, crew)
    elif crew.has(agent):
        for change in _overtaking(node, steps):
            yield change, agent


def _opening(closed: Closed) -> Change | None:
    if closed.obstacle is Obstacle.PAUSED:
        return Change(closed.node, "paused", value=False)
    if closed.obstacle in {Obstacle.MAXIMUM, Obstacle.CLOSED}:
        return Change(closed.node, "maximum", closed.node.assigned + 1)
    return None


def _asking_less(job: Job, nearly: Nearly, crew: Crew) -> Iterator[tuple[Change, Agent]]:
    """What the job could ask instead, where it is one thing that agents lack."""
    required = job.requirements
    agents: defaultdict[_Field, list[Agent]] = defaultdict(list)
    for agent, lack in nearly:
        field = _asking_for(required, agent, lack, crew)
        if field is not None:
            agents[field].append(agent)
    for name, value in nsmallest(VALUES, agents, key=lambda one: _given_up(required, *one)):
        for agent in agents[name, value][:TRIED]:
            yield Change(job, name, value), agent


def _given_up(required: Requirements, name: str, value: int | frozenset[str]) -> float:
    """How much less is asked: which part of a number, or how many tags."""
    before = getattr(required, name)
    return float((before - value) / before if isinstance(value, int) else len(before - value))


def _asking_for(required: Requirements, agent: Agent, lack: Lack, crew: Crew) -> _Field | None:
    """What the agent has; None where it may have enough once it is free."""
    obstacle, tags = lack
    match obstacle:
        case Obstacle.TAGS_MISSING:
            return "required_tags", required.required_tags - tags
        case Obstacle.TAGS_EXCLUDED:
            return "excluded_tags", required.excluded_tags - tags
        case Obstacle.CPUS:
            return "cpus", agent.cpus
        case Obstacle.RAM if crew.knows_ram(agent):
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
