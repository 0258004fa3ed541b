"""A request whose transaction the database ended for another's sake is served again, unheard of.

A deadlock, or a serialisation failure: all of the transaction is undone then, whoever waited has
gone on, and the same request may succeed. The answer that tells of it is dropped; the body, which
has come, is given to the app once more. The last answer is the client's, whatever it is.
"""

import asyncio
import random

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import CLASH, Clash

# What a server tells of a request in its scope, for those around it.
TOLD = ("route", "path_params")

TIMES = 4
PAUSE_SECONDS = 0.1  # at most, drawn: two that met must not meet again

log = structlog.get_logger()


async def again(inner: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve it, a few times where transactions clash."""
    if scope["type"] != "http":
        await inner(scope, receive, send)
        return
    heard: list[Message] = []
    for number in range(1, TIMES):
        clash = Clash()
        served = {**scope, CLASH: clash}
        await inner(served, _anew(heard, receive), _unless(clash, send))
        if not clash.seen:
            scope.update({name: served[name] for name in TOLD if name in served})
            return
        log.warning("transaction_clashed", path=scope["path"], attempt=number)
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311
    await inner(scope, _anew(heard, receive), send)


def _anew(heard: list[Message], receive: Receive) -> Receive:
    """What was heard of the body already, then the rest of it, which is kept."""
    pending = heard.copy()

    async def receive_anew() -> Message:
        if pending:
            return pending.pop(0)
        message = await receive()
        if message["type"] == "http.request":
            heard.append(message)
        return message

    return receive_anew


def _unless(clash: Clash, send: Send) -> Send:
    async def send_unless(message: Message) -> None:
        if not clash.seen:
            await send(message)

    return send_unless
