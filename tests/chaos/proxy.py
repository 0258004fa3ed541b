"""A way of TCP that can be hindered: slowed, silenced, cut, or robbed of an answer."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CHUNK = 65_536
REMEMBERED = 65_536  # bytes at the beginning of what a near side says
RESET = struct.pack("ii", 1, 0)  # closed with nothing sent: the other side sees a reset

# Whether a chunk of an answer gets lost, and the connection with it.
Loses = Callable[[bytes], bool]


@dataclass(eq=False)
class Link:
    """One connection through the proxy. `near` called, `far` was called."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    up: asyncio.Event = field(default_factory=asyncio.Event)  # set: bytes pass
    down: asyncio.Event = field(default_factory=asyncio.Event)
    said: bytes = b""
    armed: bool = False  # its next answer gets lost
    passed: int = 0  # bytes downwards

    def hole(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        self.up.clear()
        self.down.clear()

    def cut(self) -> None:
        """Both sides see a reset."""
        for writer in (self.near, self.far):
            if (connection := writer.get_extra_info("socket")) is not None:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


@dataclass(eq=False)
class Proxy:
    """Passes connections on to a port of this machine. Faults are switched on and off."""

    target: int
    port: int = 0
    links: set[Link] = field(default_factory=set)
    delay: float = 0.0  # seconds, each chunk
    refuses: bool = False
    limit: int | None = None  # bytes of answers after which a connection is cut
    loses: Loses | None = None
    lost: int = 0  # answers, each with its connection
    hindered: int = 0  # chunks that were held up
    _to: bytes = b""
    _times: int = 0
    _up: bool = True
    _down: bool = True
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def lose_answers(self, to: bytes, times: int = 1) -> None:
        """The next answers to what contains `to` get lost, each with its connection."""
        self._to, self._times = to, times

    def hole(self, *, up: bool = True, down: bool = True) -> None:
        """Silence in these directions, for connections that are there and that come."""
        self._up, self._down = self._up and not up, self._down and not down
        for link in self.links:
            self._set(link)

    def cut(self) -> None:
        """Reset every connection; new ones may come."""
        for link in list(self.links):
            link.cut()

    def close(self) -> None:
        """Nobody answers here, as where a machine is down."""
        self.refuses = True
        self.cut()

    def heal(self) -> None:
        """No fault any more. What was silenced is cut: it would be found dead at last."""
        if not (self._up and self._down):
            self.cut()
        self.delay, self.refuses, self.limit, self.loses = 0.0, False, None, None
        self._up = self._down = True
        self._times = 0

    def _set(self, link: Link) -> None:
        for passes, event in ((self._up, link.up), (self._down, link.down)):
            if passes:
                event.set()
            else:
                event.clear()

    async def accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass(reader, near)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            near.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self.refuses:
            return
        answers, far = await asyncio.open_connection("127.0.0.1", self.target)
        link = Link(near, far)
        self._set(link)
        self.links.add(link)
        try:
            await asyncio.gather(self._upwards(link, reader), self._downwards(link, answers))
        finally:
            self.links.discard(link)
            far.transport.abort()

    async def _upwards(self, link: Link, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            await self._hinder(link.up)
            if len(link.said) < REMEMBERED:
                link.said += chunk
            if self._times and self._to in chunk:
                self._times -= 1
                link.armed = True
            link.far.write(chunk)
            await link.far.drain()
        await link.up.wait()
        link.far.write_eof()

    async def _downwards(self, link: Link, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(CHUNK):
            await self._hinder(link.down)
            part = chunk if self.limit is None else chunk[: max(0, self.limit - link.passed)]
            link.passed += len(chunk)
            robbed = self._robs(link, chunk)
            if not robbed:
                link.near.write(part)
            if robbed or len(part) < len(chunk):
                self.lost += 1
                link.cut()
                return
            await link.near.drain()
        await link.down.wait()
        link.near.close()

    def _robs(self, link: Link, chunk: bytes) -> bool:
        return link.armed or (self.loses is not None and self.loses(chunk))

    async def _hinder(self, passes: asyncio.Event) -> None:
        if self.delay or not passes.is_set():
            self.hindered += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        await passes.wait()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[Proxy]:
    """A proxy to a port of this machine, on a free one."""
    made = Proxy(target)
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0, backlog=2_048)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
