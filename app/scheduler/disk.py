"""What cycles wrote, on its way to the disk: no answer goes out before it is there.

A cycle commits without waiting for the disk, so that whoever is next has the farm lock at once. One
short transaction after the other, on a connection of its own, waits for all that was committed
before it: PostgreSQL writes its log in order. Only a connection that was open before a commit can
tell that it is kept: one that is opened later may be to a server that came back without it. Where
nobody can tell, those that wait are told so, and ask again.
"""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import metrics
from app.db.engine import driver_of, drop

# Its commit waits as long as the server's `synchronous_commit` asks for, since something is logged.
_LOG = "SELECT pg_logical_emit_message(true, 'farmqueue', '')"


@dataclass(slots=True, eq=False)
class Disk:
    """Waits for the disk on behalf of one process."""

    engine: AsyncEngine
    silent_seconds: float
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _connection: AsyncConnection | None = None

    async def ready(self) -> None:
        """Have a connection open; to be called before what is to be waited for is committed."""
        if self._connection is not None:
            if not (await driver_of(self._connection)).is_closed():
                return
            await self._lose(self._connection, ConnectionError("the connection was lost"))
        self._connection = await self.engine.connect()

    def reached(self) -> asyncio.Future[None]:
        """Done once all that is committed by now is there; an exception where that is not known."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._bell.set()
        return waiting

    async def run(self) -> None:
        """Wait for the disk again and again, until cancelled."""
        try:
            while True:
                await self._bell.wait()
                self._bell.clear()
                await self._wait()
        finally:
            if self._connection is not None:
                await drop(self._connection)

    async def _wait(self) -> None:
        """Once, for all that was committed before it."""
        waiting, self._waiting = self._waiting, []
        connection = self._connection
        if connection is None:
            _fail(waiting, ConnectionError("the connection was lost"))
            return
        try:
            with metrics.DISK_SECONDS.time():
                async with asyncio.timeout(self.silent_seconds):
                    await (await driver_of(connection)).execute(_LOG)
        except Exception as failed:  # noqa: BLE001  # whatever it is, who waits must hear of it
            _fail(waiting, failed)
            await self._lose(connection, failed)
        else:
            for one in waiting:
                one.set_result(None)

    async def _lose(self, connection: AsyncConnection, failed: Exception) -> None:
        """Nobody can tell any more of what was committed while this connection was open."""
        if self._connection is not connection:
            return
        self._connection = None
        waiting, self._waiting = self._waiting, []
        _fail(waiting, failed)
        await drop(connection)


def _fail(waiting: list[asyncio.Future[None]], failed: Exception) -> None:
    for one in waiting:
        one.set_exception(failed.with_traceback(None))
