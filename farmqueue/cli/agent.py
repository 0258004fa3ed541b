"""`farmqueue agent`: the process that works for the farm on this host."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from farmqueue.agent import Options, run
from farmqueue.agent.identity import StateDirInUse, default_state_dir
from farmqueue.agent.log import to_stderr
from farmqueue.cli.connection import token_of
from farmqueue.cli.exits import Exit, complain, explained
from farmqueue.cli.options import Url
from farmqueue.client import AsyncClient

# A heartbeat that hangs must leave time for another before the lease runs out.
_ANSWER_WITHIN = 10.0  # seconds


def agent(
    context: typer.Context,
    slots: Annotated[int, typer.Option(min=1, help="Agents in this process.")] = 1,
    tag: Annotated[
        list[str] | None, typer.Option(help="What jobs can ask for, such as gpu; repeatable.")
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(min=1, show_default="found", help="Of this host, shared by the slots."),
    ] = None,
    ram: Annotated[
        int | None, typer.Option(min=1, show_default="found", help="In MB, shared by the slots.")
    ] = None,
    hostname: Annotated[
        str | None, typer.Option(show_default="found", help="Name of this host.")
    ] = None,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="FARMQUEUE_STATE_DIR", help="Where the agents' ids and tokens are kept."
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, max=60, help="Seconds that a poll without work is held open.")
    ] = 30.0,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds from SIGTERM to SIGKILL for what must end.")
    ] = 5.0,
    url: Url = None,
) -> None:
    """Work for the farm on this host: ask for tasks, run their commands, report what came of them.

    FARMQUEUE_TOKEN (--token before the command) is a join token: each agent gets a token of its
    own for it, keeps that, and renews it.

    SIGTERM or Ctrl-C gives unfinished work back and ends; a second one ends at once.
    """
    client = _client(context, url)
    to_stderr()
    options = Options(
        state_dir=state_dir or default_state_dir(),
        slots=slots,
        tags=tuple(tag or ()),
        cpus=cpus,
        ram=ram,
        hostname=hostname,
        wait=wait,
        grace=grace,
    )
    _work(options, client)


def _client(context: typer.Context, url: str | None) -> AsyncClient:
    with explained():
        token = token_of(context, url)
        return AsyncClient(url, token=token, timeout=_ANSWER_WITHIN, transport=context.obj)


def _work(options: Options, client: AsyncClient) -> None:
    """Run the agents until a signal, and end the command with the code that says how it went."""
    try:
        with explained():
            in_peace = asyncio.run(run(options, client))
    except StateDirInUse as error:
        complain(str(error))
        raise typer.Exit(Exit.CONFLICT) from None
    if not in_peace:
        raise typer.Exit(Exit.FAILED)
