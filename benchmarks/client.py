"""A client that costs little beside the service that it measures.

It shares the machine with what it measures: requests are bytes that are ready, an answer is found
with `bytes.find`, and JSON is read only where somebody asks for what it says.
"""

import asyncio
import os
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple, Self, cast
from urllib.parse import urlsplit

import pydantic_core

# The admin token of the services measured; whoever calls does so with it, for any agent. In the
# environment, since some callers are processes of their own.
TOKEN = os.environ.setdefault("FARMQUEUE_BENCHMARK_TOKEN", secrets.token_hex(32))

_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
CONNECTING_AT_ONCE = 200
_FRESH_SECONDS = 2.0
_PER_SOURCE = 5_000  # connections from one address: a machine has some 28,000 ports for each


def head(method: str, path: str) -> bytes:
    """All of a request up to the number of its bytes."""
    kind = f"authorization: Bearer {TOKEN}\r\ncontent-type: application/json"
    return f"{method} {path} HTTP/1.1\r\nhost: farm\r\n{kind}\r\ncontent-length: ".encode()


def request(beginning: bytes, body: bytes) -> bytes:
    return b"%b%d\r\n\r\n%b" % (beginning, len(body), body)


class Wire(asyncio.Protocol):
    """One keep-alive connection, one request at a time; its answer comes to `answered`."""

    transport: asyncio.Transport

    def __init__(
        self, answered: Callable[[int, bytes], None], lost: Callable[[Exception], None]
    ) -> None:
        self._answered = answered
        self._lost = lost
        self._received = b""
        self._closing = False
        self._used: float | None = None

    @property
    def fresh(self) -> bool:
        """Used a moment ago: the service closes connections that are idle for some seconds."""
        return self._used is not None and perf_counter() - self._used < _FRESH_SECONDS

    async def connect(self, url: str, number: int = 0) -> None:
        """Connect; connections of high numbers come from other addresses of this machine."""
        at = urlsplit(url)
        loop = asyncio.get_running_loop()
        source = (f"127.0.0.{1 + number // _PER_SOURCE}", 0)
        where = str(at.hostname), int(at.port or 80)
        await loop.create_connection(lambda: self, *where, local_addr=source)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._used = perf_counter()
        # A loop of another make has transports of its own, which are no asyncio.Transport.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        end = received.find(_END)
        at = received.find(_LENGTH, 0, end)
        length = int(received[at + len(_LENGTH) : received.find(b"\r\n", at)]) if at > 0 else 0
        begin = end + len(_END)
        if end < 0 or len(received) < begin + length:
            self._received = received
            return
        self._received = b""
        self._used = perf_counter()
        self._answered(int(received[9:12]), received[begin : begin + length])

    def connection_lost(self, exc: Exception | None) -> None:
        self._used = None
        if not self._closing:
            self._lost(exc or ConnectionResetError("the service closed the connection"))

    def close(self) -> None:
        self._closing = True
        if self._used is not None:
            self.transport.close()


class Answer(NamedTuple):
    status: int
    json: Any


class Caller:
    """A connection for whoever calls now and then."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._number = number
        self._wire = Wire(self._answered, self._lost)
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(cls, url: str, number: int = 0) -> Self:
        caller = cls(url, number)
        await caller._wire.connect(url, number)
        return caller

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        """The status and the JSON of the answer, None where it has none."""
        if not self._wire.fresh:
            self._wire.close()
            self._wire = Wire(self._answered, self._lost)
            await self._wire.connect(self._url, self._number)
        content = b"" if body is None else pydantic_core.to_json(body)
        self._answer = asyncio.get_running_loop().create_future()
        self._wire.transport.write(request(head(method, path), content))
        status, told = await self._answer
        return Answer(status, pydantic_core.from_json(told) if told else None)

    async def must(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer that is a success; `RuntimeError` for any other."""
        status, told = await self.call(method, path, body)
        if status // 100 != 2:  # noqa: PLR2004  # 2xx
            raise RuntimeError(f"{method} {path}: {status} {told}")
        return told

    def close(self) -> None:
        self._wire.close()

    def _answered(self, status: int, content: bytes) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, content))

    def _lost(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


async def open_many(url: str, count: int) -> list[Caller]:
    callers: list[Caller] = []
    for first in range(0, count, CONNECTING_AT_ONCE):
        numbers = range(first, min(first + CONNECTING_AT_ONCE, count))
        callers += await asyncio.gather(*(Caller.open(url, number) for number in numbers))
    return callers
