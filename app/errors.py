"""Errors of the farm and their one shape on the wire: application/problem+json (RFC 9457)."""

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Self

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.passing import clashed, first_line, passes
from app.request_id import SERVER_ERROR, present

PROBLEM_JSON = "application/problem+json"

# Where a request's scope has the `Clash` of an attempt after which there will be another one.
CLASH = "farmqueue.clash"

# Agents that were refused at the same moment shall not come back at the same moment.
LONGEST_RETRY_SECONDS = 5

# Errors listed in one answer: what is sent back must not grow with what was sent.
SHOWN = 50
LONGEST_PART = 255

# Parts of a place that name a branch of the validator, not a field of the caller.
_PYDANTIC = re.compile(r"^(constrained-\w+|literal\[.*\]|\[key\])$")

log = structlog.get_logger()


@dataclass(slots=True)
class Clash:
    """Whether the transaction of an attempt was ended for another's sake."""

    seen: bool = False


class FieldError(BaseModel):
    field: str = Field(description="Dotted path of the field", examples=["minimum_agents"])
    message: str = Field(examples=["must not be over maximum_agents"])


class Problem(BaseModel):
    """What every error looks like."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["the top level already has a queue named 'films'"])
    code: str = Field(description="Stable, for programs", examples=["jobqueue_name_taken"])
    errors: list[FieldError] | None = Field(None, description="One for each wrong field (422)")
    request_id: str | None = Field(
        None, description="Of a fault of the service (5xx): its log lines have it too"
    )


class AppError(Exception):
    """A refusal with a stable code; `detail` says what to do."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = [] if field is None else [FieldError(field=field, message=detail)]

    @property
    def headers(self) -> dict[str, str]:
        return {}


class Unauthorized(AppError):
    """No token, or none that is valid. The detail says what to do, and nothing of the token."""

    status, code, title = 401, "unauthorized", "A token is needed"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(AppError):
    """The token is valid, and may not do this."""

    status, code, title = 403, "forbidden", "Not allowed"


class TooMany(AppError):
    """Too many wrong tokens, or cookies of no session, came from one address."""

    status, code, title = 429, "too_many_failures", "Too many failures"

    def __init__(self, detail: str, *, seconds: int) -> None:
        super().__init__(detail)
        self.seconds = seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.seconds)}


class NotFound(AppError):
    status, code, title = 404, "not_found", "Not found"


class Conflict(AppError):
    status, code, title = 409, "conflict", "Conflict"


class Invalid(AppError):
    status, code, title = 422, "invalid", "The request is wrong"

    @classmethod
    def of(cls, errors: Sequence[FieldError]) -> Self:
        """The refusal of several fields; the first of them are listed."""
        made = cls(_summary(errors))
        made.errors = list(errors[:SHOWN])
        return made


class Unavailable(AppError):
    """The database is away, busy or of another version: the same call may work later."""

    status, code, title = 503, "unavailable", "Not available now"

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": retry_after()}


def retry_after() -> str:
    """Seconds, drawn anew for each: those sent away together shall not come back together."""
    return str(random.randint(1, LONGEST_RETRY_SECONDS))  # noqa: S311


class Answered(Exception):
    """Something went wrong, and has its answer: raised still, so that nothing of it is stored."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the errors that a route can give, beside those that every route can."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    words = {
        400: "The body is not JSON",
        401: "No token, or none that is valid",
        403: "The token may not do this",
        404: "No such thing",
        408: "The body did not arrive in time",
        409: "It conflicts with the state",
        413: "The body is too large",
        422: "The request itself is wrong",
        429: "Too many wrong tokens came from this address; Retry-After says when to try again",
        503: "The database is away or busy; try again",
    }
    return {status: {"description": words[status], "content": content} for status in statuses}


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
    return _problem(422, Invalid.code, Invalid.title, _summary(errors), errors[:SHOWN])


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


def _summary(errors: Sequence[FieldError]) -> str:
    told = "; ".join(f"{error.field}: {error.message}" for error in errors[:5])
    if len(errors) > SHOWN:
        told += f"; {len(errors)} in all, of which the first {SHOWN} are listed"
    return told


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
    if not passes(failed):
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
