"""What the service tells every replica: that there may be work for agents that wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from app.db.engine import CHANNEL

MARK = "counted up to here"

Heard = Callable[[], Awaitable[int]]


@asynccontextmanager
async def hints(database: str) -> AsyncIterator[Heard]:
    """A function that counts the hints committed since it was last called."""
    listener = await asyncpg.connect(database.replace("+asyncpg", ""))
    heard: asyncio.Queue[str] = asyncio.Queue()
    await listener.add_listener(CHANNEL, lambda *told: heard.put_nowait(str(told[-1])))

    async def count() -> int:
        # Notifications come in the order of their commits: all others are before this one.
        await listener.execute("SELECT pg_notify($1, $2)", CHANNEL, MARK)
        found = 0
        while await heard.get() != MARK:
            found += 1
        return found

    try:
        yield count
    finally:
        await listener.close()
