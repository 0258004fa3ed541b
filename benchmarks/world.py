"""A farm that does what no estimate foresees, in virtual time, decided by the policy.

Task times are drawn anew, tasks fail and are tried again, agents go and come back, and jobs are
submitted that nobody knew of, some of a higher priority. What happened is noted.
"""

import random
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from itertools import count
from math import exp, log
from statistics import fmean, stdev
from typing import Any
from uuid import UUID

from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.pick import assign
from app.policy.tree import Job, Queue
from app.scheduler.rows import agent_of, job_of, multirange, queue_of
from app.simulation.forecast import SPREAD
from app.simulation.live import JOBS_OVER, TASKS, TASKS_OVER, learn
from app.simulation.picture import Picture

Row = dict[str, Any]
HOUR = 3_600.0

QUEUES = [
    (1, "films", None, {"weight": 60}),
    (2, "tv", None, {"weight": 30}),
    (3, "tests", None, {"weight": 10, "minimum_agents": 1}),
    (4, "hero", 1, {"weight": 20, "minimum_agents": 4}),
    (5, "crowd", 1, {"weight": 10, "maximum_agents": 12}),
    (6, "daily", 2, {"priority": 1, "maximum_agents": 8}),
]
PLAIN = {"priority": 0, "weight": 10, "minimum_agents": None, "maximum_agents": None}


@dataclass(frozen=True)
class Kind:
    """How a farm is: of an hour, of each agent; parts of one."""

    agents: int = 24
    jobs_at_first: int = 10
    load: float = 0.8  # of what the agents could do, submitted later
    urgent: float = 0.15  # of the jobs that come
    failing: float = 0.03  # of the assignments
    leaving: float = 1 / 12
    waiting: float = 0.1  # of the jobs, for another one
    away_hours: float = 1.0
    between: float = 0.7  # jobs of a queue differ by, as a deviation of the logarithm
    hours: float = 14.0


CALM = Kind(load=0.0, failing=0.0, leaving=0.0)


@dataclass
class Truth:
    """One job as it really is, and what became of it."""

    row: Row
    job: Job
    mu: float
    sigma: float
    tasks: int
    comes: float
    done: int = 0
    begins: list[float] = field(default_factory=list)
    finished: float | None = None
    measured: list[float] = field(default_factory=list)  # logarithms of seconds of a task


@dataclass
class Work:
    job_id: int
    ordinals: list[int]
    since: float


class World:
    """Made by a seed; `run` it on, and take a `picture` of what a service would know."""

    def __init__(self, seed: int, kind: Kind) -> None:
        self.kind = kind
        self.now = 0.0
        self._draw = random.Random(seed)  # noqa: S311  # the same worlds each time
        self._rows: list[Row] = [
            {"id": number, "name": name, "parent_jobqueue_id": above}
            | PLAIN
            | {"paused": False, "prefer_running_jobs": False}
            | more
            for number, name, above, more in QUEUES
        ]
        root = Queue(id=0)
        self.queues = {row["id"]: queue_of(row) for row in self._rows}
        for row in self._rows:
            above = row["parent_jobqueue_id"]
            (self.queues[above] if above else root).add(self.queues[row["id"]])
        self.farm = Farm(root)
        self.jobs: dict[int, Truth] = {}
        self.agents: dict[UUID, Row] = {}
        self.works: dict[UUID, Work | None] = {}  # of those that are there, who asked first first
        self._numbers = count()
        self._events: list[tuple[float, int, Any]] = []
        self._usual = {number: log(self._draw.uniform(120, 1_200)) for number in self.queues}
        self._populate()

    def _populate(self) -> None:
        kind = self.kind
        for number in range(kind.agents):
            agent_id = UUID(int=number + 1)
            self.agents[agent_id] = {
                "id": agent_id, "cpus": 8, "ram": 16_384, "free_ram": 16_384, "tags": [],
                "job_queue_id": None, "mode": "enabled", "online": True,
            }  # fmt: skip
            self._comes(agent_id)
        for _ in range(kind.jobs_at_first):
            self._submit()
        if kind.load:
            self._at(self._draw.expovariate(1 / (0.2 * HOUR)), self._submit_and_more)

    # --- time ---

    def run(self, until: float) -> None:
        """Let happen what happens up to then."""
        self._ask()
        while self._events and self._events[0][0] <= until:
            self.now, _, happens = heappop(self._events)
            happens()
            self._ask()
        self.now = max(self.now, until)

    @property
    def over(self) -> bool:
        return all(one.finished is not None for one in self.jobs.values())

    def _at(self, seconds: float, happens: Any) -> None:
        heappush(self._events, (self.now + seconds, next(self._numbers), happens))

    # --- jobs ---

    def _submit_and_more(self) -> None:
        """The next comes when the agents could have done about as much as this one has."""
        if self.now > self.kind.hours * HOUR:
            return
        job = self._submit()
        work = job.tasks * exp(job.mu + job.sigma**2 / 2)
        mean = work / (self.kind.agents * self.kind.load)
        self._at(self._draw.expovariate(1 / mean), self._submit_and_more)

    def _submit(self) -> Truth:
        draw, number = self._draw, len(self.jobs) + 1
        queue_id = draw.choice([1, 2, 3, 4, 4, 5, 6])
        tasks = int(exp(draw.uniform(log(10), log(250))))
        later = self.now > 0
        earlier = [one for one in self.jobs if self.jobs[one].finished is None]
        parents = [draw.choice(earlier)] if earlier and draw.random() < self.kind.waiting else []
        row: Row = {
            "id": number, "title": f"job {number}", "job_queue_id": queue_id,
            "weight": draw.choice([10, 10, 10, 30]), "minimum_agents": None,
            "maximum_agents": draw.choice([None, None, None, 6]),
            "priority": draw.choice([5, 10]) if later and draw.random() < self.kind.urgent else 0,
            "paused": False, "frames": f"1-{tasks}", "waiting": multirange(range(tasks)),
            "num_tiles": 1, "by": Decimal(1), "batch": draw.choice([1, 1, 1, 4]),
            "batch_contiguous": True, "parents": parents, "cpus": 1, "ram": 32,
            "required_tags": [], "excluded_tags": [], "tasks_failed": 0, "tasks_done": 0,
        }  # fmt: skip
        mu = self._usual[queue_id] + draw.gauss(0, self.kind.between)
        made = Truth(row, job_of(row, {}), mu, draw.uniform(0.2, 0.7), tasks, self.now)
        self.jobs[number] = made
        self.farm.hang(made.job, self.queues[queue_id])
        return made

    # --- agents ---

    def _comes(self, agent_id: UUID) -> None:
        self.works[agent_id] = None
        self.farm.online[agent_id] = agent_of(self.agents[agent_id])
        if self.kind.leaving:
            stays = self._draw.expovariate(self.kind.leaving / HOUR)
            self._at(stays, lambda: self._leaves(agent_id))

    def _leaves(self, agent_id: UUID) -> None:
        work = self.works.pop(agent_id)
        del self.farm.online[agent_id]
        if work is not None:
            truth = self.jobs[work.job_id]
            truth.job.waiting.add(work.ordinals)
            self.farm.count(truth.job, -1)
        away = self._draw.expovariate(1 / (self.kind.away_hours * HOUR))
        self._at(away, lambda: self._comes(agent_id))

    def _ask(self) -> None:
        """Whoever has nothing asks, as long as there is something."""
        for agent_id, work in list(self.works.items()):
            if work is None and self.farm.standing:
                self._gets(agent_id, self.farm.online[agent_id])

    def _gets(self, agent_id: UUID, agent: Agent) -> None:
        found = assign(self.farm, agent)
        if found is None:
            return
        job, ordinals = found
        truth = self.jobs[job.id]
        truth.begins.append(self.now)
        work = self.works[agent_id] = Work(job.id, list(ordinals), self.now)
        seconds = sum(exp(self._draw.gauss(truth.mu, truth.sigma)) for _ in ordinals)
        fails = self._draw.random() < self.kind.failing
        if fails:
            seconds *= self._draw.random()
        self._at(seconds, lambda: self._ends(agent_id, work, fails=fails))

    def _ends(self, agent_id: UUID, work: Work, *, fails: bool) -> None:
        if self.works.get(agent_id) is not work:
            return  # it went away meanwhile
        del self.works[agent_id]
        self.works[agent_id] = None  # behind those that wait already
        truth = self.jobs[work.job_id]
        if fails:
            truth.job.waiting.add(work.ordinals)
            for ordinal in work.ordinals:
                before = truth.job.failed_by.get(ordinal, frozenset())
                truth.job.failed_by[ordinal] = before | {agent_id}
        else:
            truth.done += len(work.ordinals)
            truth.measured.append(log((self.now - work.since) / len(work.ordinals)))
        self.farm.count(truth.job, -1)
        if truth.done == truth.tasks:
            self._over(truth)

    def _over(self, truth: Truth) -> None:
        truth.finished = self.now
        for other in self.jobs.values():
            if truth.row["id"] in other.row["parents"]:
                other.row["parents"] = []
                other.job.parents_done = True
                self.farm.settle(other.job)
        self.farm.cut(truth.job)

    # --- what a service would know ---

    def picture(self) -> Picture:
        """As `live.read` has it: settings, what waits, who has what, what was measured."""
        open_ = {one: truth for one, truth in self.jobs.items() if truth.finished is None}
        picture = Picture(
            {row["id"]: row for row in self._rows},
            {one: _as_it_is(truth) for one, truth in open_.items()},
            [self._agent(agent_id, work) for agent_id, work in self.works.items()],
            {one: dict(truth.job.failed_by) for one, truth in open_.items()},
        )
        measured = [_measured(truth, TASKS) for truth in open_.values() if truth.measured]
        over: dict[int | None, list[Row]] = defaultdict(list)
        for truth in self.jobs.values():
            if truth.finished is not None:
                over[truth.row["job_queue_id"]].append(_measured(truth, TASKS_OVER))
        unknown = {one.row["job_queue_id"] for one in open_.values() if not one.measured}
        found = [(one, row) for one in unknown for row in over[one][-JOBS_OVER:]]
        learn(picture, measured, found, SPREAD)
        return picture

    def _agent(self, agent_id: UUID, work: Work | None) -> Row:
        holds: Row = {"job_id": None, "ordinals": [], "elapsed": None, "done": [], "failed": []}
        if work is not None:
            holds |= {"job_id": work.job_id, "ordinals": work.ordinals}
            holds["elapsed"] = self.now - work.since
        return self.agents[agent_id] | holds

    # --- what happened ---

    def next_begin(self, job_id: int, after: float) -> float | None:
        """When an agent next began with it."""
        begins = self.jobs[job_id].begins
        place = bisect_left(begins, after)
        return begins[place] if place < len(begins) else None


def _as_it_is(truth: Truth) -> Row:
    now = {"waiting": multirange(truth.job.waiting), "tasks_done": truth.done}
    return truth.row | now


def _measured(truth: Truth, tasks: int) -> Row:
    last = truth.measured[-tasks:]
    return {
        "id": truth.row["id"],
        "number": len(last),
        "mu": fmean(last),
        "sigma": stdev(last) if len(last) > 1 else 0.0,
    }
