"""Errors in their one shape on the wire: application/problem+json (RFC 9457)."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.db.failures import clashed, first_line, passing
from app.errors import (
    PROBLEM_JSON,
    SHOWN,
    AppError,
    FieldError,
    Invalid,
    Problem,
    Unavailable,
    summary,
)
from app.request_id import SERVER_ERROR, present

# Where a request's scope has the `Clash` of an attempt after which there will be another one.
CLASH = "farmqueue.clash"

LONGEST_PART = 255

# Parts of a place that name a branch of the validator, not a field of the caller.
_PYDANTIC = re.compile(r"^(constrained-\w+|literal\[.*\]|\[key\])$")

log = structlog.get_logger()


@dataclass(slots=True)
class Clash:
    """Whether the transaction of an attempt was ended for another's sake."""

    seen: bool = False


class Answered(Exception):
    """Something went wrong, and has its answer: raised still, so that nothing of it is stored."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def install(app: FastAPI) -> None:
    """Give every error of the app the one shape."""
    for kind, handler in _handlers().items():
        app.add_exception_handler(kind, handler)


async def answer(request: Request, failed: Exception) -> Response:
    """The answer that an error of any kind gets."""
    kinds = _handlers()
    [handler, *_] = [kinds[kind] for kind in type(failed).__mro__ if kind in kinds]
    return await handler(request, failed)


Handler = Callable[[Request, Exception], Awaitable[Response]]


def _handlers() -> dict[type[Exception], Handler]:
    """By the most special kind that an error is of."""
    away = (
        *(DBAPIError, PendingRollbackError, PoolTimeout, OSError),
        # Of the driver itself; the last for a connection that is cut between two statements.
        *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
    )
    return {
        AppError: _refusal,
        Answered: _answered,
        ClientDisconnect: _hung_up,
        HTTPException: _http,
        RequestValidationError: _validation,
        **dict.fromkeys(away, _database),
        Exception: _unexpected,
    }


def _problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = Problem(
        type="about:blank",
        title=title,
        status=status,
        detail=detail,
        code=code,
        errors=list(errors) or None,
        request_id=present() if status >= SERVER_ERROR else None,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


async def _answered(_: Request, failed: Exception) -> Response:
    assert isinstance(failed, Answered)
    return failed.response


async def _hung_up(_: Request, __: Exception) -> Response:
    """The caller went before the body had come: nobody hears of it, and it is no fault."""
    return _problem(400, "hung_up", "Hung up", "the connection ended before the body had come")


async def _refusal(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, AppError)
    return _problem(
        refused.status, refused.code, refused.title, refused.detail, refused.errors, refused.headers
    )


async def _http(_: Request, raised: Exception) -> Response:
    """What the framework itself refuses: an unknown path or method, a body too large or broken."""
    assert isinstance(raised, HTTPException)
    title = HTTPStatus(raised.status_code).phrase
    code = title.lower().replace(" ", "_")
    return _problem(raised.status_code, code, title, str(raised.detail), headers=raised.headers)


async def _validation(_: Request, wrong: Exception) -> Response:
    """Name each wrong field and what is wrong; the body is never sent back."""
    assert isinstance(wrong, RequestValidationError)
    errors = [
        FieldError(field=_dotted(error["loc"]), message=_message(error)) for error in wrong.errors()
    ]
    return _problem(422, Invalid.code, Invalid.title, summary(errors), errors[:SHOWN])


# What a pattern asks for, in words.
_MUST = {"^[^/]*$": "must have no / in it", "^/": "must be a path that begins with /"}


def _message(error: Mapping[str, Any]) -> str:
    """What is wrong with a field, for people."""
    limits = error.get("ctx", {})
    if limits.get("pattern") in _MUST:
        return _MUST[limits["pattern"]]
    if error.get("input") == "" and limits.get("min_length") == 1:
        return "must not be empty"
    return str(error["msg"]).removeprefix("Value error, ")


def _dotted(loc: Sequence[int | str]) -> str:
    """("body", "jobs", 3, "title") → jobs.3.title; the whole body stays "body"."""
    if loc[0] == "body" and all(isinstance(part, int) for part in loc[1:]):
        return "body"  # not JSON at all: the number is a position
    return ".".join(str(part)[:LONGEST_PART] for part in loc[1:] if not _PYDANTIC.search(str(part)))


async def _database(request: Request, failed: Exception) -> Response:
    """The database is away, or a lock was not to be had in time.

    A connection may break between a commit and the word of it: only the server's own refusal says
    that nothing was stored.
    """
    if not passing(failed):
        return await _unexpected(request, failed)
    if clashed(failed) and (clash := request.scope.get(CLASH)) is not None:
        clash.seen = True
    log.warning("database_unavailable", path=request.url.path, error=first_line(failed))
    away = Unavailable("the database is away or busy: look whether it was stored, or try again")
    return await _refusal(request, away)


async def _unexpected(request: Request, failed: Exception) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=failed)
    return _problem(
        500, "internal", "Internal error", "a fault of the service; its log has the details"
    )
