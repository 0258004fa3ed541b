"""What keeps a job from running, for every agent or for some: facts, put into words elsewhere."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.policy.batch import serves, takes_any
from app.policy.fit import Agent
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
Nearly = list[tuple[Agent, Lack]]  # agents that lack one thing

_RAM: Lack = (Obstacle.RAM, frozenset())
_FAILED: Lack = (Obstacle.FAILED_BEFORE, frozenset())


def unfit(agent: Agent, job: Job, online: Collection[Agent]) -> list[Lack]:
    """Each thing for which the agent cannot do what waits of the job; nothing: it can."""
    return [*_of_its_sort(agent, job), *_of_itself(agent, job, online)]


def _of_its_sort(agent: Agent, job: Job) -> Iterator[Lack]:
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
        yield _RAM
    if job.failed_by and job.waiting and not takes_any(job, agent, online):
        yield _FAILED


@dataclass(frozen=True, slots=True)
class Census:
    """The agents that are online and may have work, as one job or queue sees them."""

    idle: list[Agent]  # that can do it
    busy: list[Agent]  # that can do it
    unfit: list[Unfit]  # the most frequent first
    nearly_idle: Nearly
    nearly_busy: Nearly

    @property
    def able(self) -> int:
        return len(self.idle) + len(self.busy)


def census(
    job: Job, idle: Iterable[Agent], busy: Iterable[Agent], online: Collection[Agent]
) -> Census:
    """Who could do what waits of the job, and what the others lack."""
    lacks: Counter[Lack] = Counter()
    sorts: dict[tuple[int, frozenset[str], int | None], list[Lack]] = {}

    def fit(agent: Agent, nearly: Nearly) -> bool:
        sort = (agent.cpus, agent.tags, agent.within)
        if sort not in sorts:
            sorts[sort] = list(_of_its_sort(agent, job))
        found = [*sorts[sort], *_of_itself(agent, job, online)]
        for lack in found:
            lacks[lack] += 1
        if len(found) == 1:
            nearly.append((agent, found[0]))
        return not found

    nearly_idle: Nearly = []
    nearly_busy: Nearly = []
    able_idle = [agent for agent in idle if fit(agent, nearly_idle)]
    able_busy = [agent for agent in busy if fit(agent, nearly_busy)]
    every = [Unfit(obstacle, number, tags) for (obstacle, tags), number in lacks.most_common()]
    return Census(able_idle, able_busy, every, nearly_idle, nearly_busy)
