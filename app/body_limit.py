"""A cap on request bodies, on the bytes received; the framework's own answers in plain text."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Pure ASGI: a body over `max_bytes` is a 413, before it is read where it says its size."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes or announced(scope) > self.max_bytes:
                raise HTTPException(413, f"a body may have at most {self.max_bytes} bytes")
            return message

        await self.app(scope, limited, send)


def announced(scope: Scope) -> int:
    """The Content-Length, 0 where there is none."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0
