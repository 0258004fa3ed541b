"""Calls of agents take turns: after a few of them the process looks at what else has come.

When many agents call at once, a loop that serves all of them before it looks at the database's
answer lets the database stand idle in the middle of a cycle, time after time. With a few calls at
a time the cycle goes on soon, and calls are served while the database works. All that people ask
for goes on without.

Those that have their answer go first: each has come before, so whoever comes waits for no more of
them than there are. Of those that come, the ones that report work, the signs of life and the ones
that ask with nothing to report stand in a line each, and the lines take turns, the first of them
twice as often: a crowd that comes back all at once holds up nobody that works.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import IntEnum

# A look costs some twentieth of a poll; with more at a time the database is idle for longer.
TOGETHER = 4

# However long all else took: with more the calls themselves would be what takes long.
MOST = 64

# About what a call costs between its turn and the next thing that it waits for. Where all else that
# came took long, so may the calls.
CALL_SECONDS = 0.000_1


# How many times the event loop comes round before a cycle begins though calls stand in line.
ROUNDS = 5


class Line(IntEnum):
    """Where a call stands."""

    REPORTING = 0
    ALIVE = 1
    ASKING = 2


# Which line's turn comes after which: every other one is of those that work.
IN_TURN = (Line.REPORTING, Line.ASKING, Line.REPORTING, Line.ALIVE)


class Turns:
    """Each time that the event loop comes round a few go on: who leaves, before who comes."""

    def __init__(self) -> None:
        self._leaving: deque[Callable[[], object]] = deque()
        self._coming: list[deque[asyncio.Future[None]]] = [deque() for _ in Line]
        self._next = 0
        self._standing = 0
        self._moved = 0.0

    async def come(self, line: Line) -> None:
        """Wait for the turn of a call that came."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._coming[line].append(turn)
        self._stand(loop)
        await turn

    def leave(self, go: Callable[[], object]) -> None:
        """Have a call that has its answer go when it is its turn."""
        self._leaving.append(go)
        self._stand(asyncio.get_running_loop())

    async def served(self) -> None:
        """Wait until nobody stands in line, for a few rounds of the event loop at most.

        What is done for many at once costs less for each: a cycle, after it.
        """
        for _ in range(ROUNDS):
            if not self._standing:
                return
            await asyncio.sleep(0)

    def _stand(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._standing:
            self._moved = loop.time()
            loop.call_soon(self._move_up, loop)
        self._standing += 1

    def _move_up(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        few = min(MOST, max(TOGETHER, int((now - self._moved) / CALL_SECONDS)))
        self._moved = now
        try:
            for _ in range(min(few, self._standing)):
                self._standing -= 1
                if self._leaving:
                    self._leaving.popleft()()
                    continue
                turn = self._next_line().popleft()
                if not turn.done():  # whose caller went away
                    turn.set_result(None)
        finally:  # whatever one did, the lines move on
            if self._standing:
                loop.call_soon(self._move_up, loop)

    def _next_line(self) -> deque[asyncio.Future[None]]:
        """Whose turn it is; somebody stands there."""
        while True:
            line = self._coming[IN_TURN[self._next]]
            self._next = (self._next + 1) % len(IN_TURN)
            if line:
                return line
