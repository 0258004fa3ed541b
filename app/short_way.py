"""The short way of the calls that every agent makes all the time: polls and heartbeats.

The framework's way costs more than what they ask for. This one validates with the same models, asks
the same desk and pulse, and gives the same answers and errors; whatever is not a plain, valid call
goes the framework's way, which says what is wrong with it.
"""

import re
from collections.abc import Coroutine
from functools import partial
from time import perf_counter
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import problems
from app.access import Right
from app.agents.pulse import Pulse
from app.agents.schemas import Heartbeat
from app.caller import Caller
from app.gate import Gate, dressed
from app.request_id import each_is_told, header_of, traced
from app.scheduler.desk import Desk
from app.scheduler.polls import SentAway
from app.scheduler.schemas import AssignRequest
from app.turns import Line

_HEARTBEAT = re.compile(r"/agents/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/heartbeat")

ENDS = ("/assign", "/heartbeat")

# What an agent is sent: an answer to a POST is kept nowhere, and shown by no browser.
JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")

Answering = Coroutine[None, None, BaseModel | None]


class ShortWay:
    """Around the app: answers plain calls of callers that are known, and leaves all else to it."""

    def __init__(self, long_way: ASGIApp, gate: Gate, state: State, max_bytes: int) -> None:
        self._long_way = long_way
        self._gate = gate
        self._state = state
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._caller(scope)
        if caller is None:
            await self._long_way(scope, receive, send)
            return
        began = perf_counter()
        first = await receive()
        try:
            await self._state.turns.come(_line(scope, first))
            answering = self._answering(scope, first, receive, caller)
            if answering is not None:
                await _send(scope, send, await answering)
                return
        except Exception as failed:  # noqa: BLE001  # whatever it is, it has its answer
            await traced(partial(_refuse, failed), scope, receive, send, began)
            return
        await self._long_way(scope, _again(first, receive), send)

    def _caller(self, scope: Scope) -> Caller | None:
        """Who makes a call of these, where that is known, and nothing is to be told of it."""
        if scope["type"] != "http" or scope["method"] != "POST" or each_is_told():
            return None
        return self._gate.knows(scope) if scope["path"].endswith(ENDS) else None

    def _answering(
        self, scope: Scope, first: Message, receive: Receive, caller: Caller
    ) -> Answering | None:
        """The answer on its way, if the body came whole and is valid."""
        if first["type"] != "http.request" or first.get("more_body", False):
            return None
        body = first.get("body", b"")
        if len(body) > self._max_bytes:
            return None
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            if path == "/assign":
                return self._poll(scope, body, receive, caller)
            if found := _HEARTBEAT.fullmatch(path):
                return self._beat(scope, body, UUID(found[1]), caller)
        except ValidationError:
            pass
        return None

    def _poll(
        self, scope: Scope, body: bytes, receive: Receive, caller: Caller
    ) -> Answering | None:
        if not _is_json(scope):
            return None
        caller.must_have(Right.WORK)
        desk: Desk = self._state.desk
        return desk.ask(AssignRequest.model_validate_json(body), caller, receive)

    def _beat(self, scope: Scope, body: bytes, agent_id: UUID, caller: Caller) -> Answering | None:
        """No body is one without news; one that does not say that it is JSON goes the long way."""
        if body and not _is_json(scope):
            return None
        caller.must_have(Right.WORK)
        asked = Heartbeat.model_validate_json(body) if body else Heartbeat()
        caller.must_be_agent(agent_id)
        pulse: Pulse = self._state.pulse
        return pulse.beat(agent_id, asked, caller)


async def _refuse(failed: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(failed, SentAway):
        response = Response(status_code=204, headers=failed.headers)
    else:
        response = await problems.answer(Request(scope), failed)
    await response(scope, receive, dressed(scope, send))


def _line(scope: Scope, first: Message) -> Line:
    """Where the call stands: whoever reports works."""
    if not scope["path"].endswith("/assign"):
        return Line.ALIVE
    return Line.REPORTING if b'"results"' in first.get("body", b"") else Line.ASKING


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bool(value.partition(b";")[0].strip().lower() == b"application/json")
    return False


def _again(first: Message, receive: Receive) -> Receive:
    """What was received already, before the rest."""
    pending = [first]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again


async def _send(scope: Scope, send: Send, found: BaseModel | None) -> None:
    if found is None:
        headers = [NOSNIFF, header_of(scope)]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    body = found.__pydantic_serializer__.to_json(found)
    headers = [JSON, NOSNIFF, (b"content-length", b"%d" % len(body)), header_of(scope)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
