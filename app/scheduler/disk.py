"""What cycles wrote, on its way to the disk: no answer goes out before it is there.

A cycle commits without waiting for the disk, so that whoever is next has the farm lock at once. One
short transaction after the other, on a connection of its own, waits for all that was committed
before it: PostgreSQL writes its log in order. Only a connection that was open before a commit can
tell that it is kept: one that is opened later may be to a server that came back without it. Where
nobody can tell, those that wait are told so, and ask again.

It has to be to the very server that cycles commit on: after a failover there may be two. So the
two connections are compared when either is new, and end together.
"""

import asyncio
from dataclasses import dataclass, field

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import metrics
from app.db.driver import server_of, was_left
from app.db.engine import driver_of, drop

# Its commit waits as long as the server's `synchronous_commit` asks for, since something is logged.
_LOG = "SELECT pg_logical_emit_message(true, 'farmqueue', '')"


class OtherServer(ConnectionError):
    """The two connections are to different servers: neither may go on."""


@dataclass(slots=True, eq=False)
class Disk:
    """Waits for the disk on behalf of one process."""

    engine: AsyncEngine
    silent_seconds: float
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)
    _connection: AsyncConnection | None = None
    _beside: asyncpg.Connection | None = None  # the desk's, that was compared with it
    _was_lost: bool = False
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)  # on the connection

    async def stands(self) -> bool:
        """Whether what was opened still is; if not, the desk's connection has to go as well.

        It is of no use either where the rest of the process has met another server since.
        """
        if self._connection is not None:
            mine = await driver_of(self._connection)
            if mine.is_closed() or was_left(mine):
                await self._lose(self._connection, _lost())
        lost, self._was_lost = self._was_lost, False
        return not lost

    async def ready(self, desk: asyncpg.Connection) -> None:
        """Have a connection open beside the desk's, before what is to be waited for is committed.

        Raises `OtherServer` where the two are not to the same one.
        """
        if self._connection is not None and self._beside is desk:
            return
        async with self._one_at_a_time:
            if self._connection is not None:
                await self._try(self._connection)
            if self._connection is None:
                self._connection = await self.engine.connect()
            if server_of(await driver_of(self._connection)) != server_of(desk):
                failed = OtherServer("cycles and the wait for the disk met two servers")
                await self._lose(self._connection, failed)
                raise failed
            self._beside = desk

    async def _try(self, connection: AsyncConnection) -> None:
        """Lose it, if it is gone, for this alone: nothing is committed yet beside a new desk's."""
        try:
            async with asyncio.timeout(self.silent_seconds):
                await (await driver_of(connection)).execute("SELECT")
        except Exception as failed:  # noqa: BLE001  # whatever it is, who waits must hear of it
            await self._lose(connection, failed)
            self._was_lost = False

    def reached(self) -> asyncio.Future[None]:
        """Done once all that is committed by now is there; an exception where that is not known."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._connection is None:
            waiting.set_exception(_lost())
        else:
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
            return  # who waited was told when it was lost
        try:
            with metrics.DISK_SECONDS.time():
                async with self._one_at_a_time, asyncio.timeout(self.silent_seconds):
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
        self._connection, self._was_lost = None, True
        metrics.DISK_LOST.inc()
        waiting, self._waiting = self._waiting, []
        _fail(waiting, failed)
        await drop(connection)


def _lost() -> ConnectionError:
    return ConnectionError("the connection was lost")


def _fail(waiting: list[asyncio.Future[None]], failed: Exception) -> None:
    for one in waiting:
        one.set_exception(failed.with_traceback(None))
