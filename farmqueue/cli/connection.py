"""The commands' way to the service."""

import contextlib
from collections.abc import Iterator

import typer

from farmqueue.cli.exits import explained
from farmqueue.client import Client
from farmqueue.errors import NotFound


@contextlib.contextmanager
def connected(context: typer.Context, url: str | None) -> Iterator[Client]:
    """A client whose errors end the command with a sentence and an exit code.

    The context's object, where there is one, is the transport to use.
    """
    with explained(), Client(url, transport=context.obj) as client:
        yield client


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
