"""`farmqueue agents`: who works on what, and an operator's word to one of them."""

from typing import Annotated, Any, cast

import typer

from farmqueue.cli.connection import connected
from farmqueue.cli.options import AsJson, Url
from farmqueue.cli.output import print_fields, print_json, print_rows
from farmqueue.cli.verbs import misplaced
from farmqueue.model import Agent, AgentState

agents = typer.Typer(invoke_without_command=True)

AgentIds = Annotated[list[str], typer.Argument(metavar="ID...")]

_COLUMNS = ("id", "hostname", "state", "cpus", "ram", "free", "tags", "job", "tasks")


@agents.callback()
def list_all(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="online, offline, draining or disabled.")
    ] = None,
    hostname: Annotated[str | None, typer.Option(help="Only those of this host.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The agents, and what each works on; or one of the commands below."""
    if context.invoked_subcommand is not None:
        _refuse_options(context, context.invoked_subcommand)
        return
    with connected(context, url) as client:
        found = list(client.agents(state=cast("AgentState | None", state), hostname=hostname))
    _print(found, as_json)


@agents.command()
def show(
    context: typer.Context,
    agent_id: Annotated[str, typer.Argument(metavar="ID")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """One agent."""
    with connected(context, url) as client:
        found = client.agent(agent_id)
    if as_json:
        print_json(found)
    else:
        print_fields([*zip(_COLUMNS, _row(found), strict=True), ("version", found["version"])])


@agents.command()
def disable(
    context: typer.Context, agent_ids: AgentIds, url: Url = None, as_json: AsJson = False
) -> None:
    """Take the work of agents back at once, and give them no more."""
    _change(context, url, agent_ids, "disabled", as_json)


@agents.command()
def drain(
    context: typer.Context, agent_ids: AgentIds, url: Url = None, as_json: AsJson = False
) -> None:
    """Let agents finish what they hold, and give them no more."""
    _change(context, url, agent_ids, "draining", as_json)


@agents.command()
def enable(
    context: typer.Context, agent_ids: AgentIds, url: Url = None, as_json: AsJson = False
) -> None:
    """Let disabled or draining agents work again."""
    _change(context, url, agent_ids, "online", as_json)


@agents.command()
def delete(
    context: typer.Context, agent_ids: AgentIds, url: Url = None, as_json: AsJson = False
) -> None:
    """Forget agents; what they hold waits again. --json prints their ids."""
    with connected(context, url) as client:
        for agent_id in agent_ids:
            client.delete_agent(agent_id)
    if as_json:
        print_json(agent_ids)


def _refuse_options(context: typer.Context, verb: str) -> None:
    # The verb would not see them, and act on another farm than the one that was named.
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE":
            misplaced(context, option.opts[0], verb)


def _change(
    context: typer.Context, url: str | None, agent_ids: list[str], state: AgentState, as_json: bool
) -> None:
    with connected(context, url) as client:
        changed = [client.change_agent(agent_id, state=state) for agent_id in agent_ids]
    _print(changed, as_json)


def _print(found: list[Agent], as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_rows(_COLUMNS, map(_row, found))


def _row(agent: Agent) -> tuple[Any, ...]:
    work = agent["assignment"]
    return (
        agent["id"],
        agent["hostname"],
        agent["state"],
        agent["cpus"],
        agent["ram"],
        agent["free_ram"],
        agent["tags"],
        work and f"{work['job_id']} {work['title']}",
        work and len(work["task_ids"]),
    )
