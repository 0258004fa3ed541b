"""An answer that is ready whole goes out in one write: its head does not wake the client alone."""

import asyncio
from typing import Any


class OneWrite:
    """A server's transport that holds the head of an answer until what follows at once is there."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._write = transport.write
        self._loop = loop
        self._head = b""
        self._alarm: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self._write(self._head + data)
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._alarm = self._loop.call_soon(self.write, b"")
        else:
            self._write(data)

    def close(self) -> None:
        if self._alarm is not None:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
