"""Requests that do not arrive: the connection is answered 408, or 431 where they go on, and closed.

In the server's protocol, where it costs a whole request nothing, headers that drip count too, and
no time is taken from an answer that takes long.
"""

import asyncio
import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.one_write import OneWrite

# Bytes of a request that are not of its body, in a row: its first line and its headers, or what
# follows a body in parts. The server itself keeps them without end, for whoever has no token too.
MOST_BESIDE = 65_536


def _answer(status: HTTPStatus, code: str, detail: str) -> bytes:
    problem = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    body = json.dumps(problem | {"code": code, "detail": detail}).encode()
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\n"
        b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n%b"
        % (status, status.phrase.encode(), len(body), body)
    )


TOO_LATE = _answer(
    HTTPStatus.REQUEST_TIMEOUT,
    "request_timeout",
    "the request did not arrive in time: see FARMQUEUE_BODY_SECONDS",
)
TOO_LARGE = _answer(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "request_header_fields_too_large",
    f"the headers of a request may have {MOST_BESIDE} bytes",
)


class Impatient(HttpToolsProtocol):
    seconds: float
    arriving = True  # a connection that says nothing is as bad
    beside = 0  # bytes since a request, or a part of its body, was there
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self.arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self.disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.beside += len(data)
        super().data_received(data)
        if not self.arriving:
            self.disarm()
        elif self.transport.is_closing():
            return
        elif self.beside > MOST_BESIDE:
            self.cut(TOO_LARGE)
        elif self.timer is None:
            self.arm()

    def on_message_begin(self) -> None:
        self.arriving = True
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self.beside = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.arriving = False
        self.beside = 0
        super().on_message_complete()

    def arm(self) -> None:
        self.timer = self.loop.call_later(self.seconds, self.cut, TOO_LATE)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def cut(self, answer: bytes) -> None:
        self.disarm()
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(answer)
        self.transport.close()


def protocol(seconds: float) -> type[Impatient]:
    """The server's HTTP protocol, for requests that are whole within so many seconds."""
    return type("Protocol", (Impatient,), {"seconds": seconds})
