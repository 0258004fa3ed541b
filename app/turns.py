"""Polls take turns: after a few of them the process looks at what else has come.

When many agents ask at once, a loop that serves all of them before it looks at the database's
answer lets the database stand idle in the middle of a cycle, time after time. With a few polls at
a time the cycle goes on soon, and polls are served while the database works. All other calls go on
without.
"""

import asyncio
from collections import deque

# A look costs some twentieth of a poll; with more at a time the database is idle for longer.
TOGETHER = 4

Line = deque[asyncio.Future[None]]


class Turns:
    """Each time that the event loop comes round a few go on: who leaves, before who comes."""

    def __init__(self) -> None:
        self._coming: Line = deque()
        self._leaving: Line = deque()

    async def come(self) -> None:
        """Wait for the turn of a poll that came."""
        await self._stand_in(self._coming)

    async def leave(self) -> None:
        """Wait for the turn of a poll that has its answer."""
        await self._stand_in(self._leaving)

    async def _stand_in(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        if not self._coming and not self._leaving:
            loop.call_soon(self._move_up, loop)
        line.append(turn)
        await turn

    def _move_up(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(min(TOGETHER, len(self._leaving) + len(self._coming))):
            turn = (self._leaving or self._coming).popleft()
            if not turn.done():  # whose caller went away
                turn.set_result(None)
        if self._coming or self._leaving:
            loop.call_soon(self._move_up, loop)
