"""Exit codes that scripts can rely on, and how an error becomes one of them."""

import contextlib
import sys
from collections.abc import Iterator
from enum import IntEnum

import typer

from farmqueue.cli.output import harmless
from farmqueue.errors import (
    Conflict,
    FarmqueueError,
    Forbidden,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
)


class Exit(IntEnum):
    """What `$?` says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 2  # of `plan --detailed-exitcode`, as other tools of its kind have it
    NOT_FOUND = 3
    CONFLICT = 4
    REFUSED = 5
    UNREACHABLE = 6
    FORBIDDEN = 7


MEANINGS = (
    "Exit codes: 0 done; 1 a job failed, or work had to be left; 2 wrong usage (of"
    " `plan --detailed-exitcode` also: something differs); 3 no such thing; 4 it conflicts with"
    " the state (name taken, queue not empty); 5 the service refused the input; 6 the service does"
    " not answer; 7 not allowed."
)

_CODES: dict[type[FarmqueueError], Exit] = {
    NotFound: Exit.NOT_FOUND,
    Conflict: Exit.CONFLICT,
    Invalid: Exit.REFUSED,
    Unavailable: Exit.UNREACHABLE,
    Forbidden: Exit.FORBIDDEN,
    Misconfigured: Exit.USAGE,
}

_START_IT = "is it running (farmqueue serve)? --url or FARMQUEUE_URL say where it is"
_LET_ME = "--token or FARMQUEUE_TOKEN must hold a token that may do this; an admin makes one"


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Tell an expected error in a sentence on stderr, and end the command with its code."""
    try:
        yield
    except FarmqueueError as error:
        complain(str(error), _advice(error))
        raise typer.Exit(_CODES.get(type(error), Exit.FAILED)) from None


def complain(what: str, advice: str | None = None) -> None:
    """Say on stderr what went wrong, and what to do."""
    sys.stderr.write(f"farmqueue: {harmless(what)}\n")
    if advice:
        sys.stderr.write(f"  {advice}\n")


def _advice(error: FarmqueueError) -> str | None:
    # A service that answers "not now" is there: only one that gave no answer may not run.
    if error.code == "unreachable":
        return _START_IT
    return _LET_ME if isinstance(error, Forbidden) else None
