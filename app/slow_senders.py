"""Requests that do not arrive: the connection is answered 408 and closed.

In the server's protocol, where it costs a whole request nothing, headers that drip count too, and
no time is taken from an answer that takes long.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_BODY = (
    b'{"type":"about:blank","title":"Request timeout","status":408,"code":"request_timeout",'
    b'"detail":"the request did not arrive in time: see FARMQUEUE_BODY_SECONDS"}'
)
_ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\n"
    b"cache-control: no-store\r\nx-content-type-options: nosniff\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_BODY), _BODY)
)


class Impatient(HttpToolsProtocol):
    seconds: float
    arriving = True  # a connection that says nothing is as bad
    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self.disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.arriving:
            self.disarm()
        elif self.timer is None and not self.transport.is_closing():
            self.arm()

    def on_message_begin(self) -> None:
        self.arriving = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self.arriving = False
        super().on_message_complete()

    def arm(self) -> None:
        self.timer = self.loop.call_later(self.seconds, self.cut)

    def disarm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def cut(self) -> None:
        self.timer = None
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_ANSWER)
        self.transport.close()


def protocol(seconds: float) -> type[Impatient]:
    """The server's HTTP protocol, for requests that are whole within so many seconds."""
    return type("Protocol", (Impatient,), {"seconds": seconds})
