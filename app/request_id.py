"""The id of the request that is being served: in its answer, its log lines and its errors.

A caller's `X-Request-ID` is taken where it is 1 to 128 plain characters; else one is made. It is a
variable of the task that serves the request; what the desk does for many at once has none.
"""

import logging
import re
from collections.abc import MutableMapping
from contextvars import ContextVar
from itertools import count
from time import perf_counter
from typing import Any
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
SERVER_ERROR = 500

_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_PRESENT: ContextVar[str | None] = ContextVar("request_id", default=None)

# Made ids are those of this process, numbered: unlike any other's, and cheap.
_PROCESS = uuid4().hex[:12].encode()
_NUMBERS = count(1)

_access = logging.getLogger("app.request_id")
log = structlog.get_logger("app.request_id")


def present() -> str | None:
    """The id of the request that this code runs for."""
    return _PRESENT.get()


def add_to_line(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: every line that is written for a request has its id."""
    request_id = _PRESENT.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    return event


async def traced(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, began: float | None = None
) -> None:
    """Serve the request, which `began` then, under its id.

    Its line is of level debug, of a 5xx a warning.
    """
    if scope["type"] != "http":
        await app(scope, receive, send)
        return
    header = header_of(scope)
    status = 0

    async def send_with_id(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            message["headers"] = [*message.get("headers", ()), header]
        await send(message)

    began = perf_counter() if began is None else began
    former = _PRESENT.set(header[1].decode())
    try:
        await app(scope, receive, send_with_id)
    finally:
        if status >= SERVER_ERROR or each_is_told():
            _tell(scope, status, perf_counter() - began)
        _PRESENT.reset(former)


def header_of(scope: Scope) -> tuple[bytes, bytes]:
    """The header of the answer."""
    for name, value in scope["headers"]:
        if name == HEADER:
            if _SANE.fullmatch(value):
                return HEADER, value
            break
    return HEADER, b"%b-%x" % (_PROCESS, next(_NUMBERS))


def each_is_told() -> bool:
    """Whether every request has a line in the log."""
    return _access.isEnabledFor(logging.DEBUG)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """The access line. Ids in the path (of an agent, a job, an assignment) are fields of it."""
    say = log.warning if status >= SERVER_ERROR else log.debug
    say(
        "request_error" if status >= SERVER_ERROR else "request",
        method=scope["method"],
        route=getattr(scope.get("route"), "path", None) or scope["path"],
        status=status,
        seconds=round(seconds, 6),
        **{name: str(value) for name, value in scope.get("path_params", {}).items()},
    )
