"""Polls held open until there is work for them, their time is over, or their client is gone."""

import asyncio
from collections.abc import Collection, Iterator
from uuid import UUID

from app.scheduler.polls import Poll


class WaitingRoom:
    """One poll an agent, in the order in which they came in."""

    def __init__(self) -> None:
        self._polls: dict[UUID, Poll] = {}

    def __len__(self) -> int:
        return len(self._polls)

    def __iter__(self) -> Iterator[Poll]:
        """Of those that are there now, whoever leaves meanwhile."""
        return iter(list(self._polls.values()))

    @property
    def agents(self) -> Collection[UUID]:
        return self._polls.keys()

    def of(self, agent_id: UUID) -> Poll | None:
        return self._polls.get(agent_id)

    def enter(self, poll: Poll, disk: asyncio.Future[None]) -> None:
        """Let the poll wait; what it reported is kept once `disk` is done."""
        self._polls[poll.request.agent_id] = poll
        poll.disk = disk
        # It waits on with what it reported counted: nothing of it is kept.
        poll.request = poll.request.model_copy(update={"results": []})
        loop = asyncio.get_running_loop()
        poll.alarm = loop.call_at(poll.deadline, self._end, poll)
        poll.watch = loop.create_task(self._watch(poll))

    def leave(self, poll: Poll) -> None:
        """It waits no more, if it ever did."""
        if poll.alarm is not None and poll.watch is not None:
            poll.alarm.cancel()
            poll.watch.cancel()
        if self._polls.get(poll.request.agent_id) is poll:
            del self._polls[poll.request.agent_id]

    async def _watch(self, poll: Poll) -> None:
        """End the poll when its client is gone; the body was read, so nothing else can come."""
        while (await poll.receive())["type"] != "http.disconnect":
            pass
        self._end(poll)

    def _end(self, poll: Poll) -> None:
        """It got nothing."""
        self.leave(poll)
        poll.give(None)
