"""What keeps a job from running, for every agent or for some: facts, put into words elsewhere."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.policy.batch import serves, takes_any
from app.policy.fit import Agent, Requirements
from app.policy.tree import Job, Queue, path


class Obstacle(StrEnum):
    """Stable codes; in each group what must be mended first comes first."""

    # of the job, or of a queue above it: no agent can do anything about these
    ALL_TASKS_OUT = "all_tasks_out"
    WAITS_FOR_JOBS = "waits_for_jobs"
    PAUSED = "paused"
    CLOSED = "closed"  # its maximum is 0
    MAXIMUM = "maximum_reached"
    # of agents
    BOUND_ELSEWHERE = "bound_elsewhere"
    TAGS_MISSING = "tags_missing"
    TAGS_EXCLUDED = "tags_excluded"
    CPUS = "too_few_cpus"
    RAM = "too_little_memory"
    FAILED_BEFORE = "failed_before"


@dataclass(frozen=True, slots=True)
class Closed:
    """A node, the job or one above it, is closed to every agent."""

    obstacle: Obstacle
    node: Queue | Job


@dataclass(frozen=True, slots=True)
class Unfit:
    """So many of the agents lack this; `tags` are those that it is about."""

    obstacle: Obstacle
    agents: int
    tags: frozenset[str] = frozenset()


def closed_at(node: Queue | Job) -> Iterator[Closed]:
    """What of the node itself closes it to every agent."""
    if isinstance(node, Job):
        if not node.waiting:
            yield Closed(Obstacle.ALL_TASKS_OUT, node)
        if not node.parents_done:
            yield Closed(Obstacle.WAITS_FOR_JOBS, node)
    if node.paused:
        yield Closed(Obstacle.PAUSED, node)
    if node.maximum == 0:
        yield Closed(Obstacle.CLOSED, node)
    elif node.full:
        yield Closed(Obstacle.MAXIMUM, node)


def closed_above(node: Queue | Job) -> list[Closed]:
    """What closes the node or one above it; its own first, then from the root down."""
    above = list(path(node))[1:][::-1]
    return [closed for at in (node, *above) for closed in closed_at(at)]


Lack = tuple[Obstacle, frozenset[str]]  # with the tags that it is about

RAM: Lack = (Obstacle.RAM, frozenset())
FAILED: Lack = (Obstacle.FAILED_BEFORE, frozenset())


def unfit(agent: Agent, job: Job, online: Collection[Agent]) -> list[Lack]:
    """Each thing for which the agent cannot do what waits of the job; nothing: it can."""
    return [*of_its_sort(agent, job), *_of_itself(agent, job, online)]


class Obstacles:
    """What keeps one agent from each of many jobs: what jobs have in common is looked at once."""

    def __init__(self, agent: Agent, online: Mapping[UUID, Agent]) -> None:
        self._agent = agent
        self._online = online.values()
        self._above: dict[Queue, Lack | None] = {}
        self._lacks: dict[tuple[Queue | None, Requirements], Lack | None] = {}

    def first(self, job: Job) -> Lack | None:
        """The first thing that is in the way; None: nothing is."""
        own = next(closed_at(job), None)
        if own is not None:
            return own.obstacle, frozenset()
        return self._closed(job.parent) or self._unfit(job)

    def _closed(self, queue: Queue | None) -> Lack | None:
        """Of the queues above, from the root down."""
        if queue is None:
            return None
        if queue not in self._above:
            own = next(closed_at(queue), None)
            closed = None if own is None else (own.obstacle, frozenset[str]())
            self._above[queue] = self._closed(queue.parent) or closed
        return self._above[queue]

    def _unfit(self, job: Job) -> Lack | None:
        like = (job.parent, job.requirements)
        if like not in self._lacks:
            self._lacks[like] = next(of_its_sort(self._agent, job), None)
        return self._lacks[like] or next(_of_itself(self._agent, job, self._online), None)


def of_its_sort(agent: Agent, job: Job) -> Iterator[Lack]:
    """What all agents with the same cpus, tags and bounds lack."""
    required = job.requirements
    if not serves(agent, job):
        yield Obstacle.BOUND_ELSEWHERE, frozenset()
    if missing := required.required_tags - agent.tags:
        yield Obstacle.TAGS_MISSING, missing
    if excluded := required.excluded_tags & agent.tags:
        yield Obstacle.TAGS_EXCLUDED, excluded
    if required.cpus > agent.cpus:
        yield Obstacle.CPUS, frozenset()


def _of_itself(agent: Agent, job: Job, online: Collection[Agent]) -> Iterator[Lack]:
    if job.requirements.ram > agent.free_ram:
        yield RAM
    if job.failed_by and job.waiting and not takes_any(job, agent, online):
        yield FAILED
