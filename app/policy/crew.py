"""Who of many agents could do what waits of a job, or in a queue: each sort is judged once.

Agents with the same cpus, tags and bounds are of one sort. What is left to look at in each of them
is its memory, and whether it is one of the few that failed something.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from math import inf
from uuid import UUID

from app.policy.batch import AllFailed, takes_any
from app.policy.changes import freed_ram
from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.obstacles import FAILED, RAM, Lack, Unfit, of_its_sort
from app.policy.tree import Job, Queue, path

Hand = tuple[Agent, Job | None]  # an agent as it is now, and what it works on
Nearly = list[tuple[Hand, Lack]]  # those that lack one thing


@dataclass(frozen=True, slots=True)
class Crew:
    """The agents that are online and may have work; those that have some, with the job.

    They are told as they are now. `ram` says how much memory they have in all, where that may come
    to more than they report as free.
    """

    idle: Sequence[Agent]
    busy: Sequence[tuple[Agent, Job]]
    ram: Mapping[UUID, int] = field(default_factory=dict)

    def free_ram(self, agent: Agent, job: Job | None) -> int:
        """What it has free once it is free, as far as is known."""
        if job is None:
            return agent.free_ram
        in_all = self.ram.get(agent.id, agent.free_ram)
        return freed_ram(agent.free_ram, in_all, job.requirements.ram)

    def once_free(self, hand: Hand) -> Agent:
        agent, job = hand
        free_ram = self.free_ram(agent, job)
        return agent if free_ram == agent.free_ram else replace(agent, free_ram=free_ram)

    def knows_ram(self, agent: Agent) -> bool:
        return self.ram.get(agent.id, agent.free_ram) <= agent.free_ram

    def hand(self, agent_id: UUID) -> Hand | None:
        """The agent with what it works on; None where it is not of the crew."""
        busy = next((one for one in self.busy if one[0].id == agent_id), None)
        idle = (agent for agent in self.idle if agent.id == agent_id)
        return busy or next(zip(idle, repeat(None)), None)


@dataclass(frozen=True, slots=True)
class Census:
    """The crew, as one job or queue sees it."""

    idle: list[Hand]  # that can do it
    busy: list[Hand]  # that can do it
    unfit: list[Unfit]  # the most frequent first
    nearly_idle: Nearly
    nearly_busy: Nearly

    @property
    def able(self) -> int:
        return len(self.idle) + len(self.busy)

    def has(self, agent_id: UUID) -> bool:
        """The agent can do it."""
        return any(agent.id == agent_id for agent, _ in (*self.idle, *self.busy))


def census(job: Job, crew: Crew, online: Mapping[UUID, Agent]) -> Census:
    """Who could do what waits of the job, and what the others lack."""
    failed = frozenset[UUID]().union(*set(job.failed_by.values())) if job.waiting else ()
    known: AllFailed = {}

    def barred(agent: Agent) -> bool:
        return agent.id in failed and not takes_any(job, agent, online.values(), known)

    def judged(agent: Agent) -> _Sort:
        return _Sort(job.requirements.ram, list(of_its_sort(agent, job)))

    return _Sieve(crew, judged, barred if failed else None).census()


def census_of_queue(farm: Farm, queue: Queue, crew: Crew) -> Census:
    """Who could do something that is open in the queue; what the others lack is not told."""

    def judged(agent: Agent) -> _Sort:
        least = farm.kinds.least_ram(agent, reached(farm, queue, agent.within))
        return _Sort(inf if least is None else least, [])

    found = _Sieve(crew, judged, None).census()
    return Census(found.idle, found.busy, [], [], [])


def reached(farm: Farm, queue: Queue, within: int | None) -> int:
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


@dataclass(slots=True, eq=False)
class _Sort:
    """The memory that is needed, what all agents of the sort lack, and how many they are."""

    ram: float
    lacks: list[Lack]
    agents: int = 0


class _Sieve:
    """What is written plainly here is done for every agent of the farm."""

    def __init__(
        self,
        crew: Crew,
        judged: Callable[[Agent], _Sort],
        barred: Callable[[Agent], bool] | None,
    ) -> None:
        self._crew, self._judged, self._barred = crew, judged, barred
        self._sorts: dict[tuple[int, frozenset[str], int | None], _Sort] = {}
        self._own: Counter[Lack] = Counter()

    def census(self) -> Census:
        idle, nearly_idle = self._sift(zip(self._crew.idle, repeat(None)))
        busy, nearly_busy = self._sift(self._crew.busy)
        lacks: Counter[Lack] = Counter()
        for sort in self._sorts.values():
            for lack in sort.lacks:
                lacks[lack] += sort.agents
        lacks += self._own
        every = [Unfit(obstacle, number, tags) for (obstacle, tags), number in lacks.most_common()]
        return Census(idle, busy, every, nearly_idle, nearly_busy)

    def _sift(self, hands: Iterable[Hand]) -> tuple[list[Hand], Nearly]:
        """Those that can do it, and those that lack one thing."""
        sorts, judged, barred = self._sorts, self._judged, self._barred
        free_ram = self._crew.free_ram
        able: list[Hand] = []
        nearly: Nearly = []
        short = failed = 0
        for hand in hands:
            agent, job = hand
            key = agent.cpus, agent.tags, agent.within
            sort = sorts.get(key)
            if sort is None:
                sort = sorts[key] = judged(agent)
            sort.agents += 1
            has_less = agent.free_ram < sort.ram and free_ram(agent, job) < sort.ram
            is_barred = barred is not None and barred(agent)
            if not (sort.lacks or has_less or is_barred):
                able.append(hand)
                continue
            short += has_less
            failed += is_barred
            if len(sort.lacks) + has_less + is_barred == 1:
                nearly.append((hand, RAM if has_less else FAILED if is_barred else sort.lacks[0]))
        self._own += Counter({RAM: short, FAILED: failed})
        return able, nearly
