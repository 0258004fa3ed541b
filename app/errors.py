"""Errors of the farm, by kind; app/problems.py answers with them.

Processes beside the service know them too: no framework belongs here.
"""

import random
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import BaseModel, Field

PROBLEM_JSON = "application/problem+json"

# Agents that were refused at the same moment shall not come back at the same moment.
LONGEST_RETRY_SECONDS = 5

# Errors listed in one answer: what is sent back must not grow with what was sent.
SHOWN = 50


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
        made = cls(summary(errors))
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


def summary(errors: Sequence[FieldError]) -> str:
    """The first of them in one line."""
    told = "; ".join(f"{error.field}: {error.message}" for error in errors[:5])
    if len(errors) > SHOWN:
        told += f"; {len(errors)} in all, of which the first {SHOWN} are listed"
    return told
