"""The short way of the calls that every agent makes all the time: polls and heartbeats.

The framework's way costs more than what they ask for. This one validates with the same models, asks
the same desk and pulse, and gives the same answers and errors; whatever is not a plain, valid call
goes the framework's way, which says what is wrong with it.
"""

import re
from collections.abc import Callable, Coroutine
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from app.access import Right
from app.agents.pulse import Pulse
from app.agents.schemas import Heartbeat
from app.caller import SCOPE, Caller
from app.gate import dressed
from app.scheduler.desk import Desk
from app.scheduler.polls import SentAway
from app.scheduler.schemas import AssignRequest
from app.turns import Line, Turns

_HEARTBEAT = re.compile(r"/agents/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/heartbeat")

# What an agent is sent: an answer to a POST is kept nowhere, and shown by no browser.
JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")

Answering = Coroutine[None, None, BaseModel | None]

# How a call is answered, from its body; None or `ValidationError` where it is not a plain one.
Call = Callable[[bytes, Receive], Answering | None]


async def short_way(
    long_way: ASGIApp, max_bytes: int, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a plain poll or heartbeat; leave all else to `long_way`, the app itself."""
    call = _call(scope)
    if call is None:
        await long_way(scope, receive, dressed(scope, send))
        return
    turns: Turns = scope["app"].state.turns
    try:
        first = await receive()
        await turns.come(_line(scope, first))
        answering = _plain(call, first, max_bytes, receive)
        found = None if answering is None else await answering
        await turns.leave()
    except SentAway as away:
        response = Response(status_code=204, headers=away.headers)
        await response(scope, receive, dressed(scope, send))
        return
    except Exception as failed:  # noqa: BLE001  # whatever it is, it has its answer
        response = await problems.answer(Request(scope), failed)
        await response(scope, receive, dressed(scope, send))
        return
    if answering is None:
        await long_way(scope, _again(first, receive), dressed(scope, send))
    else:
        await _send(send, found)


def _line(scope: Scope, first: Message) -> Line:
    """Where the call stands: whoever reports works."""
    if not scope["path"].endswith("/assign"):
        return Line.ALIVE
    return Line.REPORTING if b'"results"' in first.get("body", b"") else Line.ASKING


def _call(scope: Scope) -> Call | None:
    """What is called, if it is one of the two."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    caller = scope.get(SCOPE)
    if caller is None:
        return None
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    state = scope["app"].state
    if path == "/assign":
        return _poll(state.desk, caller) if _is_json(scope) else None
    if beat := _HEARTBEAT.fullmatch(path):
        return _beat(state.pulse, UUID(beat[1]), caller, is_json=_is_json(scope))
    return None


def _poll(desk: Desk, caller: Caller) -> Call:
    def call(body: bytes, receive: Receive) -> Answering | None:
        caller.must_have(Right.WORK)
        return desk.ask(AssignRequest.model_validate_json(body), caller, receive)

    return call


def _beat(pulse: Pulse, agent_id: UUID, caller: Caller, *, is_json: bool) -> Call:
    async def beat(asked: Heartbeat) -> BaseModel:
        caller.must_be_agent(agent_id)
        return await pulse.beat(agent_id, asked, caller)

    def call(body: bytes, _: Receive) -> Answering | None:
        caller.must_have(Right.WORK)
        # None is one without news; one that does not say that it is JSON goes the long way.
        if not body:
            return beat(Heartbeat())
        return beat(Heartbeat.model_validate_json(body)) if is_json else None

    return call


def _plain(call: Call, first: Message, max_bytes: int, receive: Receive) -> Answering | None:
    """The answer on its way, if the body came whole and is valid."""
    if first["type"] != "http.request" or first.get("more_body", False):
        return None
    body = first.get("body", b"")
    if len(body) > max_bytes:
        return None
    try:
        return call(body, receive)
    except ValidationError:
        return None


def _is_json(scope: Scope) -> bool:
    return any(
        name == b"content-type" and value.partition(b";")[0].strip().lower() == b"application/json"
        for name, value in scope["headers"]
    )


def _again(first: Message, receive: Receive) -> Receive:
    """What was received already, before the rest."""
    pending = [first]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


async def _send(send: Send, found: BaseModel | None) -> None:
    if found is None:
        await send({"type": "http.response.start", "status": 204, "headers": [NOSNIFF]})
        await send({"type": "http.response.body", "body": b""})
        return
    body = found.__pydantic_serializer__.to_json(found)
    headers = [JSON, NOSNIFF, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
