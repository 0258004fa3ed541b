"""Retrying while the service is away."""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from farmqueue.agent.log import Say, say
from farmqueue.errors import Conflict, Forbidden, NotFound, Unavailable

T = TypeVar("T")

_LONGEST = 10.0  # seconds: no Retry-After may cost a lease
_SPREAD = 1.0  # seconds, since those of a farm are whole ones


async def patiently(call: Callable[[], Awaitable[T]], say: Say) -> T:
    """Make a call until the service answers it, however long it is away.

    It waits as long as the answer says, else longer each time up to 5 s, with jitter: a farm of
    agents must not come back all at once, nor so late that a lease runs out meanwhile.
    """
    async for attempt in stamina.retry_context(
        on=_may_pass, attempts=None, timeout=None, wait_initial=0.2, wait_max=5, wait_jitter=1
    ):
        with attempt:
            answer = await call()
            if attempt.num > 1:
                say("service answers again", attempts=attempt.num)
    return answer


def _may_pass(error: Exception) -> bool | float:
    """No answer, or one that is not the service's own: a proxy whose backend restarts says 404.

    In how many seconds, where the answer says so.
    """
    if isinstance(error, Unavailable) and error.retry_after is not None:
        return min(error.retry_after, _LONGEST) + random.uniform(0, _SPREAD)  # noqa: S311
    foreign = isinstance(error, NotFound | Conflict | Forbidden) and error.code.startswith("http_")
    return foreign or isinstance(error, Unavailable)


def log_retries() -> None:
    """Say that the service is away once per call, not once per attempt."""
    set_on_retry_hooks([_log_first])


def _log_first(details: RetryDetails) -> None:
    if details.retry_num == 1:
        say("service away, trying again", level=logging.WARNING, error=details.caused_by)
