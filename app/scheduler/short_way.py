"""The short way of `POST /assign`: the call that every agent makes for every piece of work.

The framework's way costs more than the decision. This one validates with the same model, asks the
same desk and gives the same answers and errors; whatever is not a plain, valid poll goes the
framework's way, which says what is wrong with it.
"""

from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import errors
from app.scheduler.desk import Desk
from app.scheduler.schemas import Assignment, AssignRequest

PATH = "/assign"

_to_json = Assignment.__pydantic_serializer__.to_json


async def short_way(
    long_way: ASGIApp, max_bytes: int, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a plain poll; leave all else to `long_way`, the app itself."""
    if scope["type"] != "http" or not _is_poll(scope):
        await long_way(scope, receive, send)
        return
    first = await receive()
    asked = _plain_poll(first, max_bytes)
    if asked is None:
        await long_way(scope, _again(first, receive), send)
        return
    desk: Desk = scope["app"].state.desk
    try:
        found = await desk.ask(asked, receive)
    except Exception as failed:  # noqa: BLE001  # whatever it is, it has its answer
        response = await errors.answer(Request(scope), failed)
        await response(scope, receive, send)
        return
    await _send(send, found)


def _plain_poll(first: Message, max_bytes: int) -> AssignRequest | None:
    """The poll, if its body came whole and is one."""
    if first["type"] != "http.request" or first.get("more_body", False):
        return None
    body = first.get("body", b"")
    if len(body) > max_bytes:
        return None
    try:
        return AssignRequest.model_validate_json(body)
    except ValidationError:
        return None


def _is_poll(scope: Scope) -> bool:
    if scope["method"] != "POST" or scope["path"] != scope.get("root_path", "") + PATH:
        return False
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


async def _send(send: Send, found: Assignment | None) -> None:
    if found is None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    body = _to_json(found)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
