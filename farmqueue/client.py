"""The client of the service, blocking and async, over one description of its calls."""

import copy
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import httpx

from farmqueue import calls, errors
from farmqueue.calls import Call
from farmqueue.model import Page

DEFAULT_URL = "http://127.0.0.1:8000"

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(build: Callable[P, Call[T]]) -> "Callable[Concatenate[Client, P], T]":
    @wraps(build)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(build(*args, **kwargs))

    return method


def _pages(build: Callable[P, Call[Page[T]]]) -> "Callable[Concatenate[Client, P], Iterator[T]]":
    @wraps(build)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.each(build(*args, **kwargs))

    return method


class Client:
    """A blocking client; every method raises `FarmqueueError` when the service says no.

    `url` and `token` default to FARMQUEUE_URL and FARMQUEUE_TOKEN; `Misconfigured` is raised at
    once for an address that is none and for a token that cannot be sent. Lists are iterators over
    all pages. One instance keeps its connections open: close it, or use it in a `with`.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._token = _bearer(token or os.environ.get("FARMQUEUE_TOKEN") or "")
        self._http = httpx.Client(**_settings(url), transport=transport)

    @property
    def url(self) -> str:
        """Where the service is, without a slash at the end."""
        return str(self._http.base_url).rstrip("/")

    @property
    def token(self) -> str | None:
        return self._token or None

    def speaking_with(self, token: str) -> Self:
        """The same connections with another token; to be closed is the first client."""
        other = copy.copy(self)
        other._token = _bearer(token)  # noqa: SLF001  # of its own kind
        return other

    def send(self, call: Call[T]) -> T:
        """Carry out one call."""
        request = _request(self._http, call, self._timeout, self._token)
        try:
            response = self._http.send(request)
        except httpx.RequestError as error:
            raise errors.from_transport(error, request.url) from error
        return _answer(call, response)

    def each(self, call: Call[Page[T]]) -> Iterator[T]:
        """The items of all pages of a list, fetched as they are needed."""
        following: Call[Page[T]] | None = call
        while following:
            page = self.send(following)
            yield from page["items"]
            following = call.after(page["next"]) if page["next"] else None

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    queues = _pages(calls.queues)
    queue = _blocking(calls.queue)
    tree = _blocking(calls.tree)
    create_queue = _blocking(calls.create_queue)
    change_queue = _blocking(calls.change_queue)
    delete_queue = _blocking(calls.delete_queue)
    plan_queues = _blocking(calls.plan_queues)
    apply_queues = _blocking(calls.apply_queues)
    jobs = _pages(calls.jobs)
    job = _blocking(calls.job)
    submit = _blocking(calls.submit)
    submit_all = _blocking(calls.submit_all)
    change_job = _blocking(calls.change_job)
    delete_job = _blocking(calls.delete_job)
    pause_job = _blocking(calls.pause_job)
    resume_job = _blocking(calls.resume_job)
    rerun_job = _blocking(calls.rerun_job)
    rerun_failed = _blocking(calls.rerun_failed)
    tasks = _pages(calls.tasks)
    task = _blocking(calls.task)
    register = _blocking(calls.register)
    agents = _pages(calls.agents)
    agent = _blocking(calls.agent)
    change_agent = _blocking(calls.change_agent)
    delete_agent = _blocking(calls.delete_agent)
    heartbeat = _blocking(calls.heartbeat)
    assign = _blocking(calls.assign)
    report = _blocking(calls.report)
    release = _blocking(calls.release)
    why_job = _blocking(calls.why_job)
    why_queue = _blocking(calls.why_queue)
    why_agent = _blocking(calls.why_agent)
    why_assignment = _blocking(calls.why_assignment)
    tokens = _pages(calls.tokens)
    create_token = _blocking(calls.create_token)
    revoke_token = _blocking(calls.revoke_token)
    history = _pages(calls.history)
    simulate = _blocking(calls.simulate)
    ready = _blocking(calls.ready)


def _awaiting(
    build: Callable[P, Call[T]],
) -> "Callable[Concatenate[AsyncClient, P], Awaitable[T]]":
    @wraps(build)
    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self.send(build(*args, **kwargs))

    return method


def _async_pages(
    build: Callable[P, Call[Page[T]]],
) -> "Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]":
    @wraps(build)
    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        return self.each(build(*args, **kwargs))

    return method


class AsyncClient:
    """`Client` for asyncio: the same methods, awaited; lists are async iterators."""

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._token = _bearer(token or os.environ.get("FARMQUEUE_TOKEN") or "")
        self._http = httpx.AsyncClient(**_settings(url), transport=transport)

    @property
    def url(self) -> str:
        """Where the service is, without a slash at the end."""
        return str(self._http.base_url).rstrip("/")

    @property
    def token(self) -> str | None:
        return self._token or None

    def speaking_with(self, token: str) -> Self:
        """The same connections with another token; to be closed is the first client."""
        other = copy.copy(self)
        other._token = _bearer(token)  # noqa: SLF001  # of its own kind
        return other

    async def send(self, call: Call[T]) -> T:
        """Carry out one call."""
        request = _request(self._http, call, self._timeout, self._token)
        try:
            response = await self._http.send(request)
        except httpx.RequestError as error:
            raise errors.from_transport(error, request.url) from error
        return _answer(call, response)

    async def each(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """The items of all pages of a list, fetched as they are needed."""
        following: Call[Page[T]] | None = call
        while following:
            page = await self.send(following)
            for item in page["items"]:
                yield item
            following = call.after(page["next"]) if page["next"] else None

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    queues = _async_pages(calls.queues)
    queue = _awaiting(calls.queue)
    tree = _awaiting(calls.tree)
    create_queue = _awaiting(calls.create_queue)
    change_queue = _awaiting(calls.change_queue)
    delete_queue = _awaiting(calls.delete_queue)
    plan_queues = _awaiting(calls.plan_queues)
    apply_queues = _awaiting(calls.apply_queues)
    jobs = _async_pages(calls.jobs)
    job = _awaiting(calls.job)
    submit = _awaiting(calls.submit)
    submit_all = _awaiting(calls.submit_all)
    change_job = _awaiting(calls.change_job)
    delete_job = _awaiting(calls.delete_job)
    pause_job = _awaiting(calls.pause_job)
    resume_job = _awaiting(calls.resume_job)
    rerun_job = _awaiting(calls.rerun_job)
    rerun_failed = _awaiting(calls.rerun_failed)
    tasks = _async_pages(calls.tasks)
    task = _awaiting(calls.task)
    register = _awaiting(calls.register)
    agents = _async_pages(calls.agents)
    agent = _awaiting(calls.agent)
    change_agent = _awaiting(calls.change_agent)
    delete_agent = _awaiting(calls.delete_agent)
    heartbeat = _awaiting(calls.heartbeat)
    assign = _awaiting(calls.assign)
    report = _awaiting(calls.report)
    release = _awaiting(calls.release)
    why_job = _awaiting(calls.why_job)
    why_queue = _awaiting(calls.why_queue)
    why_agent = _awaiting(calls.why_agent)
    why_assignment = _awaiting(calls.why_assignment)
    tokens = _async_pages(calls.tokens)
    create_token = _awaiting(calls.create_token)
    revoke_token = _awaiting(calls.revoke_token)
    history = _async_pages(calls.history)
    simulate = _awaiting(calls.simulate)
    ready = _awaiting(calls.ready)


def _settings(url: str | None) -> dict[str, Any]:
    return {
        "base_url": _base(url or os.environ.get("FARMQUEUE_URL") or DEFAULT_URL),
        # Each slot of an agent process holds a poll open: no cap that one slot could wait at.
        "limits": httpx.Limits(max_connections=None),
    }


def _bearer(token: str) -> str:
    """The token as it can be sent in a header; no error shows any of it."""
    stripped = token.strip()  # a file's last line end is no part of it
    if not (stripped.isascii() and stripped.isprintable()):
        raise errors.Misconfigured(
            "the token (FARMQUEUE_TOKEN) holds a line end or another character that cannot be"
            " sent: it must be printable ASCII",
            code="bad_token",
        )
    return stripped


def _base(address: str) -> httpx.URL:
    """The address of the service as a URL, checked before the first request needs it."""
    example = f"write for example {DEFAULT_URL}"
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        # Neither the address nor the reason is told: either may hold a piece of a password.
        told = f"the service's address (FARMQUEUE_URL, --url) is no URL: {example}"
        raise errors.Misconfigured(told, code="bad_url") from None
    if url.scheme not in {"http", "https"} or not url.host:
        public = address.rpartition("@")[2]  # what comes before may be a user and a password
        raise errors.Misconfigured(
            f"{public} is no address of a service: it begins with http:// or https://, {example}",
            code="bad_url",
        )
    return url


def _request(
    http: httpx.Client | httpx.AsyncClient, call: Call[Any], timeout: float, token: str
) -> httpx.Request:
    return http.build_request(
        call.method,
        call.path,
        params=call.params,
        json=call.body,
        headers={
            **({"Authorization": f"Bearer {token}"} if token else {}),
            **(call.headers or {}),
        },
        # The service may hold a poll open for as long as it was asked to.
        timeout=httpx.Timeout(timeout, read=timeout + call.patience),
    )


def _answer(_: Call[T], response: httpx.Response) -> T:
    if not response.is_success:
        raise errors.from_response(response)
    if response.status_code == httpx.codes.NO_CONTENT or not response.content:
        if "retry-after" in response.headers:  # a poll that was held, by a service that stops
            raise errors.from_response(response)
        return cast("T", None)
    try:
        return cast("T", response.json())
    except ValueError as error:
        asked = errors.shown(response.request.url)
        raise errors.Unavailable(
            f"{asked} answered with no JSON: is this a farmqueue service?",
            code="not_json",
            status=response.status_code,
        ) from error
