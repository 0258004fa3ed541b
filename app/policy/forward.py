"""The farm played forward: who gets what when, in virtual seconds from now on.

Every agent asks the moment it is free, every task succeeds, and no agent comes or goes. Whose turn
it is the same code decides as on the real farm.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count

from app.policy.agenda import Agenda
from app.policy.batch import take
from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.follow import following
from app.policy.pick import find, give, start
from app.policy.tree import Job, Queue, path

Seconds = Callable[[Job, Sequence[int]], float]

NONE: frozenset[Job] = frozenset()
# Of the idle: the open bits of what they meet, the queue that they are bound to, what bars them.
Alike = tuple[int, int | None, frozenset[Job]]

# Events between two calls of whoever watches that it does not take too long.
WATCH_EVERY = 2_048


@dataclass(slots=True, eq=False)
class Progress:
    """What became of a job. Times are None as long as nothing of the kind happened.

    `ahead` counts what was handed out before its first next task; `failed`: it cannot be done.
    """

    waits_for: int = 0
    failed: bool = False
    children: list[Job] = field(default_factory=list)
    next_at: float | None = None
    ahead: int | None = None
    finished_at: float | None = None
    agent_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Worker:
    """An agent, and the open bits of what it meets. One that `leaves` asks for nothing more.

    It failed all that waits in the jobs that it is `barred` from: as nothing fails here and nobody
    goes, it is so for good.
    """

    agent: Agent
    met: int
    leaves: bool = False
    barred: frozenset[Job] = NONE


@dataclass(slots=True, eq=False)
class Shortage:
    """How long a node had fewer agents than its minimum though work was open in it."""

    since: float | None = None
    seconds: float = 0.0

    def note(self, now: float, *, short: bool) -> None:
        if short and self.since is None:
            self.since = now
        elif not short and self.since is not None:
            self.seconds += now - self.since
            self.since = None

    def until(self, now: float) -> float:
        return self.seconds + (0.0 if self.since is None else now - self.since)


class Forward:
    """A farm on its way. Say what there is (`idle`, `works`, `comes`), then `run` it in steps.

    All jobs are known from the beginning, those that come later too; they hang in no queue yet.
    """

    def __init__(
        self,
        farm: Farm,
        progress: dict[Job, Progress],
        seconds: Seconds,
        horizon: float,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.farm = farm
        self.progress = progress
        self.now = 0.0
        self.given = 0  # assignments made
        self.working = 0
        self.peaks: dict[Queue | Job, int] = {}
        self.shortages: dict[Queue | Job, Shortage] = {}
        self._seconds = seconds
        self._horizon = horizon
        self._watch = watch
        self._numbers = count()
        self._ends: Agenda[tuple[float, int, Worker, Job]] = Agenda(horizon)
        self._later: list[tuple[float, int, Job, Queue]] = []
        self._idle: dict[Alike, list[tuple[int, Worker]]] = {}  # heaps: who waits longest first
        self._watched: dict[Job, list[Queue | Job]] = {}
        for job in progress:  # bits of kinds are then never given anew
            farm.kinds.join(job.requirements)

    # --- what there is ---

    def idle(self, agent: Agent) -> None:
        """An agent that has no work; those who were told of earlier ask earlier."""
        self._rest(Worker(agent, self.farm.kinds.met_by(agent)), next(self._numbers))

    def works(self, agent: Agent, job: Job, seconds: float, *, leaves: bool = False) -> None:
        """An agent that the tree counts in the job, for so many seconds yet."""
        worker = Worker(agent, self.farm.kinds.met_by(agent), leaves)
        self._ends.add((seconds, next(self._numbers), worker, job))
        self.progress[job].agent_seconds += min(seconds, self._horizon)
        self.working += 1

    def comes(self, at: float, job: Job, queue: Queue) -> None:
        """A job that is submitted into the queue then."""
        self._later.append((at, next(self._numbers), job, queue))

    def begin(self) -> None:
        """Let all that is idle ask, at second 0."""
        heapify(self._later)
        for job in self.progress:
            self._note_peak(job)
            self._note(job)
        self._come()
        waiting = sorted(one for group in self._idle.values() for one in group)
        self._idle.clear()
        for _, worker in waiting:
            self._ask(worker)

    # --- what happens ---

    def run(self, until: float) -> None:
        """Let happen what happens up to then, that moment included."""
        ends, later = self._ends, self._later
        for number in count():
            if number % WATCH_EVERY == 0:
                self._watch()
            at_end = ends.next_at()
            if later and later[0][0] <= at_end:
                if later[0][0] > until:
                    break
                self.now = later[0][0]
                self._come()
                self._wake()
            elif at_end > until:
                break
            else:
                self.now = at_end
                self._end()
        self.now = until

    def _come(self) -> None:
        while self._later and self._later[0][0] <= self.now:
            _, _, job, queue = heappop(self._later)
            self.farm.hang(job, queue)
            self._note(job)

    def _end(self) -> None:
        """The first agent's work is over: it gets its next at once where that is easily seen."""
        _, _, worker, job = self._ends.pop()
        found = None
        look = self._idle or job.assigned == 1
        plain = not worker.leaves and worker.agent.within is None
        if plain and not (look and self._others_first(job)):
            found = following(self.farm, job, worker.met)
        if found is None:
            self._end_and_ask(worker, job)
            return
        joined, common = found
        ordinals = take(joined, worker.agent, ())
        if joined is not job:
            self.farm.exchange(job, joined, common)
            self._note(job)
            self._note(joined)
            self._note_peak(joined, common)
        elif not job.waiting:
            self.farm.settle(job)
            self._note(job)
        self._ends.add(self._work(worker, joined, ordinals))

    def _others_first(self, job: Job) -> bool:
        """Whether the end of an agent's work opens something that others wait for."""
        if not job.waiting and job.assigned == 1:
            return True  # the job is over: others may have waited for it
        return bool(self._idle) and any(node.full for node in path(job))

    def _end_and_ask(self, worker: Worker, job: Job) -> None:
        self.working -= 1
        self.farm.count(job, -1)
        self._note(job)
        if not job.waiting and not job.assigned:
            self._over(job)
        self._wake()
        if not worker.leaves:
            self._ask(worker)

    def _over(self, job: Job) -> None:
        progress = self.progress[job]
        progress.finished_at = self.now
        if progress.failed:
            return
        for child in progress.children:
            waits = self.progress[child]
            waits.waits_for -= 1
            if not waits.waits_for:
                child.parents_done = True
                if child.parent is not None:
                    self.farm.settle(child)
                self._note(child)

    # --- those that have no work ---

    def _wake(self) -> None:
        """Let those ask that something is open for, who waits longest first."""
        while self._idle:
            able = [alike for alike in self._idle if self._open(alike)]
            if not able:
                return
            alike = min(able, key=lambda alike: self._idle[alike][0][0])
            number, worker = heappop(self._idle[alike])
            if not self._idle[alike]:
                del self._idle[alike]
            if not self._gets(worker):
                self._rest(worker, number)

    def _open(self, alike: Alike) -> bool:
        met, within, barred = alike
        begins = start(self.farm, within)
        if begins is None or not begins.line.standing & met:
            return False
        for job in barred:
            self.farm.close(job)
        found = bool(begins.line.standing & met)
        for job in barred:
            self.farm.settle(job)
        return found

    def _ask(self, worker: Worker) -> None:
        if not self._gets(worker):
            self._rest(worker, next(self._numbers))

    def _rest(self, worker: Worker, number: int) -> None:
        alike = (worker.met, worker.agent.within, worker.barred)
        heappush(self._idle.setdefault(alike, []), (number, worker))

    def _gets(self, worker: Worker) -> bool:
        closed: list[Job] = []
        job = find(self.farm, worker.agent, closed)
        if closed:
            worker.barred |= frozenset(closed)
            for each in closed:
                self.farm.settle(each)
        if job is None:
            return False
        ordinals = give(self.farm, worker.agent, job)
        self.working += 1
        self._note_peak(job)
        self._note(job)
        self._ends.add(self._work(worker, job, ordinals))
        return True

    # --- what is noted ---

    def _work(
        self, worker: Worker, job: Job, ordinals: Sequence[int]
    ) -> tuple[float, int, Worker, Job]:
        progress = self.progress[job]
        if progress.next_at is None:
            progress.next_at, progress.ahead = self.now, self.given
        self.given += 1
        seconds = self._seconds(job, ordinals)
        progress.agent_seconds += min(seconds, self._horizon - self.now)
        return self.now + seconds, next(self._numbers), worker, job

    def _note_peak(self, job: Job, below: Queue | None = None) -> None:
        """Of the job, and what is above it up to the queue, where that has no agents more."""
        peaks = self.peaks
        node: Queue | Job | None = job
        while node is not below and node is not None:
            if node.assigned > peaks.get(node, 0):
                peaks[node] = node.assigned
            node = node.parent

    def _note(self, job: Job) -> None:
        """The job, or something above it, may be below its minimum now, or no longer."""
        watched = self._watched.get(job)
        if watched is None:
            watched = [node for node in path(job) if node.minimum]
            if job.parent is not None:
                self._watched[job] = watched
        for node in watched:
            short = node.below_minimum and node.standing != 0
            self.shortages.setdefault(node, Shortage()).note(self.now, short=short)
