"""The desk: where polls of this process wait, and the one loop that serves them in cycles."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.errors import AppError
from app.scheduler import cycle
from app.scheduler.schemas import Assignment, AssignRequest
from app.settings import Settings

log = structlog.get_logger()

Answer = asyncio.Future[Assignment | None]


@dataclass(slots=True, eq=False)
class Poll:
    """A poll held open until there is work for it, or its `wait` is over."""

    request: AssignRequest
    answer: Answer
    deadline: float
    alarm: asyncio.TimerHandle | None = None

    def give(self, outcome: cycle.Outcome) -> None:
        if self.answer.done():
            return  # the agent hung up; it gets the same assignment at its next poll
        if isinstance(outcome, AppError):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


@dataclass(slots=True, eq=False)
class Desk:
    """Polls of one process. They hold no database connection; a cycle holds one for all of them."""

    engine: AsyncEngine
    settings: Settings
    name: str = field(default_factory=lambda: uuid4().hex)
    _asked: list[Poll] = field(default_factory=list)
    _waiting: dict[UUID, Poll] = field(default_factory=dict)
    _work_may_have_come: bool = False
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: bool = False

    async def ask(self, request: AssignRequest) -> Assignment | None:
        """The agent's assignment, or None when there is none within `wait` seconds."""
        loop = asyncio.get_running_loop()
        poll = Poll(request, loop.create_future(), loop.time() + request.wait)
        self._asked.append(poll)
        self._bell.set()
        try:
            return await poll.answer
        finally:
            self._forget(poll)

    def stir(self) -> None:
        """Try the waiting polls again: something changed that may be work for them."""
        self._work_may_have_come = True
        self._bell.set()

    def close(self) -> None:
        """Answer every waiting poll, and let none wait from now on."""
        self._closing = True
        for poll in list(self._waiting.values()):
            poll.give(None)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self) -> None:
        """Serve cycle after cycle, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fall_back())
            while True:
                await self._bell.wait()
                self._bell.clear()
                await self._serve()

    async def _fall_back(self) -> None:
        """Hints may get lost: try again now and then without one."""
        while True:
            await asyncio.sleep(self.settings.fallback_poll_seconds)
            if self._waiting:
                self.stir()

    async def _serve(self) -> None:
        asked = self._take_asked()
        reported = any(poll.request.results for poll in asked)
        waiting = self._take_waiting() if self._work_may_have_come or reported else []
        if not asked and not waiting:
            return
        outcomes = await self._cycle(asked, waiting)
        if outcomes is None:
            return
        for poll in (*waiting, *asked):
            agent_id = poll.request.agent_id
            outcome = outcomes.get(agent_id)
            if outcome is None and agent_id in outcomes and self._may_wait(poll):
                self._wait(poll)
            else:
                poll.give(outcome)

    async def _cycle(
        self, asked: list[Poll], waiting: list[Poll]
    ) -> dict[UUID, cycle.Outcome] | None:
        """Run one cycle; None if the database fails: new polls hear of it, old ones wait on."""
        try:
            with metrics.CYCLE_SECONDS.time():
                async with self.engine.begin() as connection:
                    outcomes = await cycle.run(
                        connection,
                        [poll.request for poll in asked],
                        [poll.request for poll in waiting],
                        self.settings,
                        self.name,
                    )
        except Exception as failed:  # noqa: BLE001  # whatever it is, polls must be answered
            log.warning("cycle_failed", polls=len(asked), error=str(failed).split("\n")[0])
            for poll in asked:
                if not poll.answer.done():
                    poll.answer.set_exception(failed)
            self._work_may_have_come = bool(waiting)
            return None
        metrics.count(outcomes.values())
        return outcomes

    def _take_asked(self) -> list[Poll]:
        """New polls, one an agent; a second of the same agent comes in the next cycle."""
        taken: dict[UUID, Poll] = {}
        later: list[Poll] = []
        for poll in self._asked:
            if poll.answer.done():
                continue
            if poll.request.agent_id in taken:
                later.append(poll)
            else:
                taken[poll.request.agent_id] = poll
        self._asked = later
        if later:
            self._bell.set()
        for agent_id in taken:
            if before := self._waiting.pop(agent_id, None):
                before.give(None)  # the agent asks anew; its older poll is over
        return list(taken.values())

    def _take_waiting(self) -> list[Poll]:
        self._work_may_have_come = False
        return [poll for poll in self._waiting.values() if not poll.answer.done()]

    def _may_wait(self, poll: Poll) -> bool:
        left = poll.deadline - asyncio.get_running_loop().time()
        return left > 0 and not self._closing and not poll.answer.done()

    def _wait(self, poll: Poll) -> None:
        if self._waiting.get(poll.request.agent_id) is poll:
            return
        self._waiting[poll.request.agent_id] = poll
        # It waits on with what it reported counted: a later cycle must not count it again.
        poll.request = poll.request.model_copy(update={"results": []})
        loop = asyncio.get_running_loop()
        poll.alarm = loop.call_at(poll.deadline, poll.give, None)

    def _forget(self, poll: Poll) -> None:
        if poll.alarm is not None:
            poll.alarm.cancel()
        if self._waiting.get(poll.request.agent_id) is poll:
            del self._waiting[poll.request.agent_id]
