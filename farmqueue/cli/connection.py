"""The commands' way to the service."""

import contextlib
import os
import re
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
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


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
            "the root / is no queue itself: name one below it; `farmqueue queues` shows them all"
        )
    found = next(client.queues(fullpath=path), None)
    if found is None:
        raise NotFound(
            f"no queue {path}: `farmqueue queues` lists them, a path begins with /",
            code="jobqueue_not_found",
        )
    return found["id"]


def agent_id(client: Client, name: str) -> str:
    """The id of an agent by itself, or by the name of a host on which it is the only one."""
    if _ID.fullmatch(name):
        return name
    found = [agent["id"] for agent in client.agents(hostname=name)]
    if not found:
        raise NotFound(
            f"no agent {name}: `farmqueue agents` lists them, by id and by host",
            code="agent_not_found",
        )
    if len(found) > 1:
        raise typer.BadParameter(
            f"{len(found)} agents are on {name}: give the id of one, as {found[0]};"
            f" `farmqueue agents --hostname {name}` lists them"
        )
    return found[0]
