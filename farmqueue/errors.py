"""What goes wrong between a client and the service, as exceptions with a stable `code`."""

from http import HTTPStatus
from typing import TypedDict

import httpx


class FieldError(TypedDict):
    """One wrong field of a request: its dotted path, and what is wrong with it."""

    field: str
    message: str


class FarmqueueError(Exception):
    """The service refused a request, or gave no answer; `str()` of it is for people."""

    def __init__(
        self,
        detail: str,
        *,
        code: str = "unknown",
        status: int | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.errors = errors
        self.retry_after = retry_after  # seconds, where the answer said so

    def __str__(self) -> str:
        # A single wrong field is often all that the detail tells.
        untold = [error for error in self.errors if error["message"] not in self.detail]
        fields = [f"{error['field']}: {error['message']}" for error in untold]
        return "\n  ".join([self.detail, *fields])


class NotFound(FarmqueueError):
    """No such thing (404)."""


class Conflict(FarmqueueError):
    """It conflicts with the state: name taken, has children, stale assignment (409)."""


class Invalid(FarmqueueError):
    """The request itself is wrong (400, 413, 422); `errors` names each field."""


class Forbidden(FarmqueueError):
    """No token, a wrong one, or one that may not do this (401, 403)."""


class Misconfigured(FarmqueueError):
    """The address or the token that a client was given cannot be used; nothing was sent."""


class Unavailable(FarmqueueError):
    """No answer, or one that says "not now" (429, 5xx): the same call may work later."""


_KINDS: dict[int, type[FarmqueueError]] = {
    204: Unavailable,
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    422: Invalid,
    429: Unavailable,
}


def from_response(response: httpx.Response) -> FarmqueueError:
    """The exception for an answer that is not what was asked for, whoever gave it (a proxy may)."""
    status = response.status_code
    kind = Unavailable if response.is_server_error else _KINDS.get(status, FarmqueueError)
    problem = _problem(response)
    detail = problem.get("detail") or problem.get("title")
    errors = problem.get("errors")
    return kind(
        str(detail) if detail else f"{shown(response.request.url)} answered {_status_line(status)}",
        code=str(problem.get("code", f"http_{status}")),
        status=status,
        errors=tuple(_field_errors(errors)) if isinstance(errors, list) else (),
        retry_after=_seconds(response.headers.get("retry-after", "")),
    )


def from_transport(error: httpx.RequestError, url: httpx.URL) -> Unavailable:
    """The exception for a request that got no answer."""
    reason = str(error) or type(error).__name__
    return Unavailable(f"no answer from {shown(url)}: {reason}", code="unreachable")


def shown(url: httpx.URL) -> str:
    """The address as people and logs may see it: without the user and the password in it."""
    return str(url.copy_with(userinfo=b""))


def _seconds(told: str) -> float | None:
    """Retry-After in seconds; the form with a date is not the service's own."""
    return float(told) if told.isascii() and told.isdigit() else None


def _problem(response: httpx.Response) -> dict[str, object]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _field_errors(errors: list[object]) -> list[FieldError]:
    return [
        FieldError(field=str(error.get("field", "")), message=str(error.get("message", "")))
        for error in errors
        if isinstance(error, dict)
    ]


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
