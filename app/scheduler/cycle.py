"""One cycle: every call that came meanwhile is served in one transaction, over the kept farm."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from app.caller import Caller, token_ended
from app.clock import steady
from app.errors import AppError
from app.policy.made import why
from app.policy.pick import give, pick
from app.policy.states import Mode, TaskState
from app.scheduler import leases, reports, session, store
from app.scheduler.answer import answer
from app.scheduler.kept import Holding, KeptAgent, KeptFarm
from app.scheduler.refusals import AgentDisabled, AgentNotFound, AssignmentNotFound
from app.scheduler.rows import multirange
from app.scheduler.schemas import Assignment, AssignmentStatus, AssignRequest, Result
from app.settings import Settings


@dataclass(slots=True, eq=False)
class Report:
    """A report that asks for nothing."""

    assignment_id: int
    results: Sequence[Result]
    caller: Caller


@dataclass(frozen=True, slots=True)
class Grant:
    """New work for an agent, and why it is this."""

    agent: KeptAgent
    job_id: int
    ordinals: list[int]
    why: str


# What a poll gets: work, nothing, or a refusal; what a report gets.
Outcome = Assignment | AppError | None
Status = AssignmentStatus | AppError


@dataclass(slots=True)
class Round:
    """The calls of a cycle and what comes of them; at most one poll an agent.

    `outcomes` has every poll that `asked`, `over` those of the waiting that need wait no more, and
    `statuses` is in the order of what was `reported`.
    """

    asked: Sequence[AssignRequest]
    reported: Sequence[Report]
    waiting: Collection[UUID]
    callers: Mapping[UUID, Caller]  # of `asked` and `waiting`
    outcomes: dict[UUID, Outcome] = field(init=False)
    over: dict[UUID, Outcome] = field(init=False)
    statuses: list[Status] = field(init=False)
    counted: list[reports.Counted] = field(init=False)
    agents: dict[UUID, KeptAgent] = field(init=False)  # of `asked`, not refused
    working: set[UUID] = field(init=False)  # of `agents`, when they asked
    grants: list[Grant] = field(init=False)
    held: list[Holding] = field(init=False)  # of agents that ask once more
    alive: set[UUID] = field(init=False)  # agents that only report
    attempts: dict[int, Mapping[int, int]] = field(init=False)  # ordinals of assignments

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Let nothing have come of the calls yet."""
        self.outcomes, self.over, self.statuses, self.counted = {}, {}, [], []
        self.agents, self.working, self.grants, self.held = {}, set(), [], []
        self.alive, self.attempts = set(), {}


class Cycles:
    """The kept farm, and what was open when those that wait last got nothing.

    As long as nothing was new when this process last looked, it decides before it has the farm
    lock: what it decided is written if nothing is new then either, and undone otherwise.
    """

    def __init__(self, kept: KeptFarm, settings: Settings) -> None:
        self.kept = kept
        self.settings = settings
        self.begun = False
        self._quiet = False  # nothing is to be expected that is not taken in
        self._left_open = 0
        self._bits = 0  # how often they were given anew until then
        self._barred: set[UUID] = set()

    async def run(self, connection: asyncpg.Connection, this: Round) -> None:
        """Serve the round and commit. If it raises once `begun`, the kept farm is of no use."""
        self.begun = self._quiet
        if self._quiet:
            news = await self._write_unless_news(connection, this)
        else:
            news = await session.begin(connection, self.kept.seen)
        if news is not None:
            self.begun = True
            self._quiet = not await self.kept.catch_up(connection, news)
            await self._write(connection, this)
        self.begun = False
        self._answer(this)

    def expect_news(self) -> None:
        """Others changed something."""
        self._quiet = False

    async def refresh(self, connection: asyncpg.Connection) -> bool:
        """Take in what others did, with no lock; True if that may be work for those that wait."""
        self.begun = True
        await self.kept.refresh(connection)
        self.begun, self._quiet = False, True
        return self._more_is_open() or bool(self._barred or self.kept.changed_agents)

    def _more_is_open(self) -> bool:
        farm = self.kept.farm
        return farm.kinds.given_anew != self._bits or bool(farm.standing & ~self._left_open)

    async def _write_unless_news(
        self, connection: asyncpg.Connection, this: Round
    ) -> asyncpg.Record | None:
        """Decide and write; if anything is new undo it, the lock is held then: what is new."""
        try:
            what, began = await self._decide(connection, this), steady()
        except LookupError:  # what others did: the kept farm does not have it yet
            self._undo(this)
            return await session.begin(connection, self.kept.seen)
        try:
            row, rows = await session.write_unless_news(connection, self.kept.seen, what)
        except asyncpg.LockNotAvailableError:  # nothing is written
            self._undo(this)
            raise
        if not rows:
            self._undo(this)
            return row
        await self.kept.catch_up(connection, row)  # by nothing, but how far it is
        self._take_in(this, what, rows, began)
        return None

    async def _write(self, connection: asyncpg.Connection, this: Round) -> None:
        """Decide and write, under the lock that is held."""
        what, began = await self._decide(connection, this), steady()
        rows = await session.write(connection, what)
        self._take_in(this, what, rows, began)

    async def _decide(self, connection: asyncpg.Connection, this: Round) -> session.Written:
        """What is to be written of the round."""
        self._meet(this)
        said = await self._count_reports(connection, this)
        self._pick(this)
        await self._look_up(connection, this)
        grants = [
            (one.agent.facts.id, one.job_id, _array(one.ordinals), one.why) for one in this.grants
        ]
        return session.Written(said, grants, self._alive(this), _numbers(this))

    def _undo(self, this: Round) -> None:
        """Let nothing have come of the round; what it touched is read anew with the next news."""
        for grant in this.grants:
            self.kept.farm.count(self.kept.jobs[grant.job_id].job, -1)
        jobs = {grant.job_id for grant in this.grants}
        jobs |= {one.holding.job_id for one in this.counted}
        agents = {grant.agent.facts.id for grant in this.grants}
        agents |= {one.holding.agent_id for one in this.counted}
        self.kept.doubt(jobs, agents | this.agents.keys() | this.over.keys())
        this.clear()
        self.begun = self._quiet = False

    def _meet(self, this: Round) -> None:
        """Look the agents up; those that are not there or may not ask have their refusal."""
        for poll in this.asked:
            found = self._may_ask(poll.agent_id, this)
            if isinstance(found, AppError):
                this.outcomes[poll.agent_id] = found
            else:
                self.kept.come_online(found, poll.free_ram)
                this.agents[poll.agent_id] = found
                if found.held is not None:
                    this.working.add(poll.agent_id)

    def _may_ask(self, agent_id: UUID, this: Round) -> KeptAgent | AppError:
        if not this.callers[agent_id].stands():
            return token_ended()
        agent = self.kept.agents.get(agent_id)
        if agent is None:
            return AgentNotFound.of(agent_id)
        if agent.mode == Mode.DISABLED:
            return AgentDisabled(
                f"agent {agent_id} is disabled: an operator has to enable it first"
            )
        return agent

    # --- reports ---

    async def _count_reports(
        self, connection: asyncpg.Connection, this: Round
    ) -> Sequence[store.Judged]:
        """Judge every report by the assignment that it is of, then count them all.

        What is to be written of it.
        """
        polls = [poll for poll in this.asked if poll.results and poll.agent_id in this.agents]
        former = await self._former(connection, polls, this.reported)
        for poll in polls:
            self._weigh_poll(this, poll, former)
        this.statuses = [self._weigh_report(this, report, former) for report in this.reported]
        if not this.counted:
            return []
        return await reports.count(connection, self.kept, this.counted)

    async def _former(
        self,
        connection: asyncpg.Connection,
        polls: Sequence[AssignRequest],
        alone: Sequence[Report],
    ) -> Sequence[Holding]:
        """Assignments that calls are of and no agent holds: an answer got lost, or all is over."""
        lost = [poll for poll in polls if not self._fits(poll)]
        named = [poll.assignment_id for poll in lost if poll.assignment_id is not None]
        named += [one.assignment_id for one in alone if one.assignment_id not in self.kept.held]
        if not lost and not named:
            return []
        rows = await store.assignments(connection, [poll.agent_id for poll in lost], named)
        return [self.kept.held.get(row["id"]) or reports.holding_of(row) for row in rows]

    def _fits(self, poll: AssignRequest) -> bool:
        """Whether a poll's results are of what its agent holds."""
        held = self.kept.agents[poll.agent_id].held
        return held is not None and reports.fits(held, poll.assignment_id, poll.results)

    def _weigh_poll(self, this: Round, poll: AssignRequest, former: Sequence[Holding]) -> None:
        held = this.agents[poll.agent_id].held
        try:
            if held is None or not self._fits(poll):
                mine = [one for one in former if one.agent_id == poll.agent_id]
                held = reports.of_poll(mine, poll.assignment_id, poll.results)
            self._weigh(this, held, poll.results)
        except AppError as refused:
            this.outcomes[poll.agent_id] = refused

    def _weigh_report(self, this: Round, report: Report, former: Sequence[Holding]) -> Status:
        if not report.caller.stands():
            return token_ended()
        found = [one for one in former if one.id == report.assignment_id]
        holding = self.kept.held.get(report.assignment_id) or next(iter(found), None)
        if holding is None:
            return AssignmentNotFound(f"there is no assignment {report.assignment_id}")
        try:
            report.caller.must_be_agent(holding.agent_id)
            self._weigh(this, holding, report.results)
        except AppError as refused:
            return refused
        if holding.ended is None:
            this.alive.add(holding.agent_id)
        active = holding.ended is None and not holding.complete
        return AssignmentStatus(id=holding.id, active=active)

    def _weigh(self, this: Round, holding: Holding, results: Sequence[Result]) -> None:
        counted = reports.weigh(holding, results)
        for one in counted:
            reports.remember(holding, one.ordinal, one.result.state)
        this.counted += counted

    # --- work ---

    def _pick(self, this: Round) -> None:
        """Pick for each idle agent in turn: those that wait from before, then those that ask."""
        for agent_id in self._to_be_tried(this.waiting):
            self._pick_for_waiting(this, agent_id)
        for agent_id, agent in this.agents.items():
            if agent_id not in this.outcomes:
                this.outcomes[agent_id] = None
                self._pick_for(this, agent)
        # Whoever was not tried had nothing in what was left open before, and no more is open now.
        self._left_open = self.kept.farm.standing

    def _to_be_tried(self, waiting: Collection[UUID]) -> Iterator[UUID]:
        """Those of the waiting that may get work now, in the order in which they asked.

        All of them as long as more is open than when the last one got nothing. Else those that
        changed, and those that are barred from what is open: they failed its tasks, and who else
        could do them changes with every report and every agent.
        """
        farm, before = self.kept.farm, self._left_open
        some = self._barred | self.kept.changed_agents
        self._barred, self.kept.changed_agents = set(), set()
        everyone = farm.kinds.given_anew != self._bits
        self._bits = farm.kinds.given_anew
        for agent_id in list(waiting):
            if everyone or farm.standing & ~before or agent_id in some:
                yield agent_id
            elif not some:
                return

    def _pick_for_waiting(self, this: Round, agent_id: UUID) -> None:
        found = self._may_ask(agent_id, this)
        if isinstance(found, AppError):
            this.over[agent_id] = found
        elif not found.online:
            this.over[agent_id] = None  # it has to ask anew
        else:
            self._pick_for(this, found)

    def _pick_for(self, this: Round, agent: KeptAgent) -> None:
        if agent.held is not None:
            this.held.append(agent.held)
        elif agent.mode == Mode.ENABLED:
            farm = self.kept.farm
            job = pick(farm, agent.facts)
            if job is not None:
                because = why(farm, agent.facts, job)
                this.grants.append(Grant(agent, job.id, give(farm, agent.facts, job), because))
            elif farm.standing & farm.kinds.met_by(agent.facts):
                self._barred.add(agent.facts.id)

    async def _look_up(self, connection: asyncpg.Connection, this: Round) -> None:
        """Read what the answers need that this process does not know yet."""
        if this.held:
            for row in await store.unfinished(connection, [held.id for held in this.held]):
                tasks = zip(row["ordinals"], row["attempts"], strict=True)
                ended = self.kept.held[row["id"]].over
                this.attempts[row["id"]] = {task: n for task, n in tasks if task not in ended}
        job_ids = [one.job_id for one in this.grants] + [held.job_id for held in this.held]
        if missing := self.kept.told.missing(job_ids):
            self.kept.told.add(await store.told(connection, missing))

    def _take_in(self, this: Round, what: session.Written, rows: store.Rows, began: float) -> None:
        """What was written is so."""
        self.kept.wrote(rows[0]["transaction"])
        lease, now = self.settings.lease_seconds, rows[0]["now"]
        leases.written(what.alive, self.kept.agents, lease, now, began)
        for one, row in zip(this.grants, rows, strict=bool(this.grants)):
            self.kept.hold(Holding(row["id"], one.agent.facts.id, one.job_id, one.ordinals))
            this.attempts[row["id"]] = dict(zip(one.ordinals, row["attempts"], strict=True))

    def _alive(self, this: Round) -> list[store.Alive]:
        """Agents that called, to be written; those that will wait may be silent meanwhile."""
        lease = self.settings.lease_seconds
        busy = {one.agent.facts.id for one in this.grants} | {one.agent_id for one in this.held}
        alive: dict[UUID, tuple[int | None, float, bool]] = {}
        alive |= dict.fromkeys(this.alive | busy, (None, lease, False))
        for poll in this.asked:
            if poll.agent_id in this.agents:
                waits = this.outcomes[poll.agent_id] is None and poll.agent_id not in busy
                until = lease + poll.wait if waits else lease
                alive[poll.agent_id] = (poll.free_ram, until, True)
        called = ((agent_id, *life) for agent_id, life in alive.items())
        working = (busy & this.working) | (this.alive - this.agents.keys())
        return list(leases.to_write(called, working, self.kept.agents))

    def _answer(self, this: Round) -> None:
        """Each agent that has work is told of it."""
        for assignment_id, attempts in this.attempts.items():
            holding = self.kept.held[assignment_id]
            of = this.outcomes if holding.agent_id in this.agents else this.over
            of[holding.agent_id] = answer(self.kept, self.settings, holding, attempts)
        self.kept.told.make_room()


def _numbers(this: Round) -> list[store.Numbers]:
    """What changed in the numbers of each job: done, failed, came back, went out."""
    numbers: dict[int, tuple[Counter[TaskState], list[int], list[int]]] = {}
    for one in this.counted:
        if one.becomes is TaskState.RUNNING:
            continue  # progress
        ends, back, _ = numbers.setdefault(one.holding.job_id, (Counter(), [], []))
        ends[one.becomes] += 1
        if one.becomes is TaskState.WAITING:
            back.append(one.ordinal)
    for grant in this.grants:
        numbers.setdefault(grant.job_id, (Counter(), [], []))[2].extend(grant.ordinals)
    return [
        (job_id, ends[TaskState.DONE], ends[TaskState.FAILED], multirange(back), multirange(out))
        for job_id, (ends, back, out) in numbers.items()
    ]


def _array(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
