"""Calls that wait for an answer: polls and reports at the desk, heartbeats at the pulse."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive

from app.caller import Caller, token_ended
from app.errors import retry_after
from app.scheduler.cycle import Outcome, Report
from app.scheduler.refusals import AgentUnnamed
from app.scheduler.schemas import UNNAMED, Assignment, AssignmentStatus, AssignRequest


class SentAway(Exception):  # nothing went wrong
    """The service stops: the poll gets a 204, and is told when to come back."""

    def __init__(self) -> None:
        super().__init__()
        self.headers = {"Retry-After": retry_after()}


@dataclass(slots=True, eq=False)
class Poll:
    """A poll held open until there is work for it, or its `wait` is over."""

    request: AssignRequest
    caller: Caller
    receive: Receive
    answer: asyncio.Future[Assignment | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    came: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    disk: asyncio.Future[None] | None = None  # done once all that it reported is there
    alarm: asyncio.TimerHandle | None = None
    watch: asyncio.Task[None] | None = None

    @property
    def deadline(self) -> float:
        return self.came + self.request.wait

    def give(self, outcome: Outcome | SentAway) -> None:
        """Let it have this once what it reported is kept; where nobody can tell, it hears that.

        Also where that is known by now: whoever tells of a failure may come only after this. For a
        token that expired meanwhile "no work" is no answer.
        """
        if outcome is None and not self.caller.stands():
            outcome = token_ended()
        if self.disk is None:
            give(self.answer, outcome)
        else:
            self.disk.add_done_callback(lambda _: give(self.answer, outcome))


@dataclass(slots=True, eq=False)
class Reported:
    """A report that waits to be counted."""

    report: Report
    answer: asyncio.Future[AssignmentStatus]


def name_agent(request: AssignRequest, caller: Caller) -> None:
    """Let a poll that names no agent be of the one whose token it came with; refuse another's."""
    if request.agent_id == UNNAMED:
        if caller.agent_id is None:
            raise AgentUnnamed("say which agent asks", field="agent_id")
        request.agent_id = caller.agent_id
    caller.must_be_agent(request.agent_id)


def give(answer: asyncio.Future[Any], outcome: object) -> None:
    """Let the call have it; an agent that hung up gets the same at its next one."""
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
