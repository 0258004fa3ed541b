"""The desk: where polls of this process wait, and the one loop that serves them in cycles."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.types import Receive

from app import metrics
from app.caller import Caller, token_ended
from app.db.engine import driver_of, drop
from app.db.failures import clashed, first_line
from app.errors import Unavailable
from app.scheduler import epoch, session
from app.scheduler.arrivals import Arrivals
from app.scheduler.cycle import Cycles, Report, Round
from app.scheduler.disk import Disk, OtherServer
from app.scheduler.feed import Outdated
from app.scheduler.garbage import collect_former
from app.scheduler.kept import KeptFarm
from app.scheduler.polls import Poll, Reported, SentAway, give, name_agent
from app.scheduler.schemas import Assignment, AssignmentStatus, AssignRequest
from app.scheduler.waiting import WaitingRoom
from app.settings import Settings
from app.tokens.known import Known
from app.turns import Turns

log = structlog.get_logger()

RETRY_SECONDS = 1


@dataclass(slots=True, eq=False)
class Desk:
    """Polls and reports of one process. One database connection serves them all.

    The next cycle begins while what the last one wrote is on its way to the disk; its answers go
    out once it is there.
    """

    engine: AsyncEngine
    settings: Settings
    known: Known
    turns: Turns
    name: str = field(default_factory=lambda: uuid4().hex)
    rounds: int = 0  # begun and over: something may have changed in each
    _arrivals: Arrivals = field(default_factory=Arrivals)
    _reported: list[Reported] = field(default_factory=list)
    _waiting: WaitingRoom = field(default_factory=WaitingRoom)
    _looking: list[asyncio.Future[KeptFarm]] = field(default_factory=list)
    _stirred: bool = True
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: bool = False
    _disk: Disk = field(init=False)
    _connection: AsyncConnection | None = None
    _cycles: Cycles | None = None
    _former: bool = False

    def __post_init__(self) -> None:
        self._disk = Disk(self.engine, self.settings.silent_seconds)

    async def ask(
        self, request: AssignRequest, caller: Caller, receive: Receive
    ) -> Assignment | None:
        """The agent's assignment, or None when there is none within `wait` seconds.

        `receive` tells when the client hangs up; a poll that waits is over then. Raises `SentAway`
        when the service stops meanwhile.
        """
        name_agent(request, caller)
        poll = Poll(request, caller, receive)
        self._arrivals.add(poll)
        self._bell.set()
        try:
            return await poll.answer
        finally:
            self._waiting.leave(poll)

    async def tell(self, report: Report) -> AssignmentStatus:
        """Have a report counted."""
        reported = Reported(report, asyncio.get_running_loop().create_future())
        self._reported.append(reported)
        self._bell.set()
        return await reported.answer

    async def look(self) -> KeptFarm:
        """The farm as the database has it now; to be looked at before anything else is awaited."""
        looking: asyncio.Future[KeptFarm] = asyncio.get_running_loop().create_future()
        self._looking.append(looking)
        self.stir()
        return await looking

    def stir(self) -> None:
        """Something changed that may be work for those that wait."""
        self._stirred = True
        self._bell.set()

    def close(self) -> None:
        """Send away every waiting poll, each for another time, and let none wait from now on."""
        self._closing = True
        for poll in self._waiting:
            self._waiting.leave(poll)
            poll.give(SentAway())

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def kept(self) -> KeptFarm | None:
        """The farm as this process has it, to be looked at; None while there is none."""
        return None if self._cycles is None else self._cycles.kept

    async def run(self) -> None:
        """Serve cycle after cycle, until cancelled."""
        self._bell.set()  # the farm is read before the first agent asks
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fall_back())
                group.create_task(self._disk.run())
                while True:
                    await self._bell.wait()
                    self._bell.clear()
                    await self._serve()
        finally:
            await self._hang_up()

    async def _fall_back(self) -> None:
        """Hints may get lost: look now and then without one."""
        while True:
            await asyncio.sleep(self.settings.fallback_poll_seconds)
            self.stir()

    async def _serve(self) -> None:
        """One round: of what came, and of those that wait where that may be work for them."""
        await self.turns.served()
        self.rounds += 1  # and once more when all that it changes is there
        asked = self._take_asked()
        reported = [one for one in self._reported if not one.answer.done()]
        self._reported = []
        looking, self._looking = self._looking, []
        stirred, self._stirred = self._stirred, False
        if not asked and not reported and not (stirred and await self._refreshed()):
            self._refuse_ended()
            await self._show(looking)
            return
        if stirred and (asked or reported) and self._cycles is not None:
            self._cycles.expect_news()
        polls = [*self._waiting, *asked]
        this = Round(
            [poll.request for poll in asked],
            [one.report for one in reported],
            self._waiting.agents,
            {poll.request.agent_id: poll.caller for poll in polls},
        )
        began = asyncio.get_running_loop().time()
        failed = await self._run(this)
        self._refuse_ended()
        if failed is not None:
            self._fail(asked, [*(one.answer for one in reported), *looking], failed)
            return
        self._settle(asked, reported, this, began)
        await self._show(looking)

    def _refuse_ended(self) -> None:
        """Those that wait with a token that was revoked meanwhile wait no more."""
        if self.known.news:
            self.known.news = False
            for poll in [one for one in self._waiting if not one.caller.stands()]:
                poll.give(token_ended())

    async def _refreshed(self) -> bool:
        """Take in what others did; True if there may be work for those that wait."""
        outdated = False
        try:
            async with asyncio.timeout(self.settings.silent_seconds):
                cycles = await self._ready()
                more = await cycles.refresh(await self._driver())
        except Outdated:
            outdated = True
        except Exception as failed:  # noqa: BLE001  # whatever it is, the desk goes on
            log.warning("refresh_failed", error=first_line(failed))
            await self._start_over()
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self.stir)
            return False
        if outdated:
            await self._start_over()
        return (outdated or more) and bool(self._waiting)

    async def _run(self, this: Round) -> Exception | None:
        """Run a cycle; what made it fail."""
        with metrics.CYCLE_SECONDS.time():
            failed = await self._try(this)
            if failed is not None and (isinstance(failed, Outdated) or clashed(failed)):
                this.clear()
                failed = await self._try(this)
        if failed is not None:
            log.warning("cycle_failed", polls=len(this.asked), error=first_line(failed))
        if isinstance(failed, Outdated):
            return Unavailable("the database changes too fast to be read: try again")
        return failed

    async def _try(self, this: Round) -> Exception | None:
        try:
            if not await self._disk.stands():
                await self._part()
            cycles = await self._ready()
            await self._disk.ready(await self._driver())
            async with asyncio.timeout(self.settings.silent_seconds):
                await cycles.run(await self._driver(), this)
        except OtherServer as failed:
            await self._part()
            return failed.with_traceback(None)
        except Exception as failed:  # noqa: BLE001  # whatever it is, polls must be answered
            await self._start_over()
            return failed.with_traceback(None)  # which would hold the farm that is thrown away
        return None

    async def _ready(self) -> Cycles:
        """The kept farm, read whole if there is none."""
        if self._cycles is None:
            if self._former:  # which nothing refers to any more by now
                collect_former()
                self._former = False
            await epoch.settle(self.engine)
            with metrics.LOAD_SECONDS.time():
                kept = await KeptFarm.load(await self._driver(), self.known)
            self._cycles = Cycles(kept, self.settings)
        return self._cycles

    async def _driver(self) -> asyncpg.Connection:
        if self._connection is None:
            self._connection = await self.engine.connect()
            try:
                await session.prepare(await driver_of(self._connection), self.name)
            except BaseException:
                await self._hang_up()
                raise
        return await driver_of(self._connection)

    async def _start_over(self) -> None:
        """Forget the kept farm, unless nothing began: it may have what the database has not."""
        if self._cycles is not None and self._cycles.begun:
            self._forget_farm()
        if self._connection is None:
            return
        try:
            async with asyncio.timeout(self.settings.silent_seconds):
                await session.leave(await driver_of(self._connection))
        except Exception:  # noqa: BLE001  # whatever it is, another connection is better
            await self._part()

    async def _part(self) -> None:
        """Leave this server: what is committed there cannot be waited for any more."""
        self._forget_farm()
        await self._hang_up()

    def _forget_farm(self) -> None:
        self._former = self._former or self._cycles is not None
        self._cycles = None

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await drop(connection)

    def _settle(
        self, asked: list[Poll], reported: list[Reported], this: Round, began: float
    ) -> None:
        """Those that got nothing wait on; what the others get is theirs once it is on the disk."""
        disk = self._disk.reached()
        outcomes: list[tuple[asyncio.Future[Any], object]] = []
        for agent_id, outcome in this.over.items():
            if poll := self._waiting.of(agent_id):
                self._waiting.leave(poll)
                outcomes.append((poll.answer, outcome))
        for poll in asked:
            outcome = this.outcomes[poll.request.agent_id]
            if outcome is None and self._may_wait(poll):
                self._waiting.enter(poll, disk)
            else:
                outcomes.append((poll.answer, outcome))
        outcomes += zip((one.answer for one in reported), this.statuses, strict=True)

        def give_all(disk: asyncio.Future[None]) -> None:
            failed = disk.exception()
            if isinstance(failed, Exception):
                log.warning("disk_failed", polls=len(asked), error=first_line(failed))
                self._fail(asked, [answer for answer, _ in outcomes], failed)
                return
            for answer, outcome in outcomes:
                self.turns.leave(partial(give, answer, outcome))
            self._measure(asked, this, began)

        disk.add_done_callback(give_all)

    def _measure(self, asked: list[Poll], this: Round, began: float) -> None:
        """How long polls were in hand: since they came, or since the round began if they waited."""
        now = asyncio.get_running_loop().time()
        tried = [(this.outcomes[one.request.agent_id], now - one.came) for one in asked]
        tried += [(outcome, now - began) for outcome in this.over.values()]
        metrics.tried(tried)
        metrics.CYCLE_POLLS.observe(len(asked))
        metrics.CYCLE_GRANTS.observe(len(this.grants))

    def _fail(
        self, asked: list[Poll], others: list[asyncio.Future[Any]], failed: Exception
    ) -> None:
        """These hear of it; whoever else waits does so on."""
        now = asyncio.get_running_loop().time()
        metrics.failed([now - one.came for one in asked])
        for answer in [*(poll.answer for poll in asked), *others]:
            give(answer, failed)
        self._stirred = True

    async def _show(self, looking: list[asyncio.Future[KeptFarm]]) -> None:
        """Let each look before the next round, which decides before it has written anything."""
        self.rounds += 1
        for one in looking:
            give(one, self.kept or Unavailable("the farm cannot be read just now: try again"))
        if looking:
            await asyncio.sleep(0)

    def _take_asked(self) -> list[Poll]:
        """New polls; an older one of an agent that asks anew is over."""
        taken = self._arrivals.take()
        if self._arrivals:
            self._bell.set()
        for agent_id in taken:
            if before := self._waiting.of(agent_id):
                self._waiting.leave(before)
                before.give(None)
        return list(taken.values())

    def _may_wait(self, poll: Poll) -> bool:
        left = poll.deadline - asyncio.get_running_loop().time()
        return left > 0 and not self._closing and not poll.answer.done()
