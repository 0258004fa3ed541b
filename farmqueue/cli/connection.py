"""The commands' way to the service."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import typer

from farmqueue.cli.exits import explained
from farmqueue.client import DEFAULT_URL, Client
from farmqueue.errors import NotFound

GIVEN = "farmqueue.given"  # where the context has what --token says
TIMEOUT = 30.0  # seconds without an answer
_HERE = {"127.0.0.1", "localhost", "::1"}


@contextlib.contextmanager
def connected(
    context: typer.Context, url: str | None, *, timeout: float = TIMEOUT
) -> Iterator[Client]:
    """A client whose errors end the command with a sentence and an exit code.

    The context's object, where there is one, is the transport to use.
    """
    token = token_of(context, url)
    with (
        explained(),
        Client(url, token=token, timeout=timeout, transport=context.obj) as client,
    ):
        yield client


def token_of(context: typer.Context, url: str | None) -> str | None:
    """--token, else FARMQUEUE_TOKEN; else that of the service whose data lies on this machine.

    That one is for no other machine's ears.
    """
    if token := context.meta.get(GIVEN) or os.environ.get("FARMQUEUE_TOKEN"):
        return str(token)
    with contextlib.suppress(httpx.InvalidURL, OSError, ValueError):
        if httpx.URL(url or os.environ.get("FARMQUEUE_URL") or DEFAULT_URL).host in _HERE:
            data = Path(os.environ.get("FARMQUEUE_DATA_DIR") or ".farmqueue")
            return (data / "admin-token").read_text(encoding="ascii").strip()
    return None


def queue_id(client: Client, path: str) -> int:
    """The id of the queue with a fullpath such as /films/hero."""
    if path == "/":
        raise typer.BadParameter(
            "the root / cannot be changed: name a queue below it; `farmqueue queues` shows them all"
        )
    found = next(client.queues(fullpath=path), None)
    if found is None:
        raise NotFound(
            f"no queue {path}: `farmqueue queues` lists them, a path begins with /",
            code="jobqueue_not_found",
        )
    return found["id"]
