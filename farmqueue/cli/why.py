"""`farmqueue why …`: why a job does not run, a queue gets no agent, an agent is idle."""

from typing import Annotated, Any

import typer

from farmqueue.cli.connection import agent_id, connected, queue_id
from farmqueue.cli.options import AsJson, Url
from farmqueue.cli.output import for_people, print_fields, print_json, print_rows
from farmqueue.client import Client
from farmqueue.explained import Explanation, Step

why = typer.Typer(no_args_is_help=True)

OfAgent = Annotated[
    str | None, typer.Option("--agent", metavar="ID|HOST", help="Why not this one.")
]


@why.command()
def job(
    context: typer.Context,
    job_id: Annotated[int, typer.Argument(metavar="ID")],
    agent: OfAgent = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Why a job does not run, the binding reason first, and what would help."""
    with connected(context, url) as client:
        _print(client.why_job(job_id, agent_id=_asked(client, agent)), as_json)


@why.command()
def queue(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH")],
    agent: OfAgent = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Why a queue gets no agent, or no more of them."""
    with connected(context, url) as client:
        found = client.why_queue(queue_id(client, path), agent_id=_asked(client, agent))
    _print(found, as_json)


@why.command()
def agent(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID|HOST")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Why an agent is idle, or what it would get and by which rules."""
    with connected(context, url) as client:
        _print(client.why_agent(agent_id(client, name)), as_json)


@why.command()
def assignment(
    context: typer.Context,
    assignment_id: Annotated[int, typer.Argument(metavar="ID")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Why an assignment was made: the walk of that moment."""
    with connected(context, url) as client:
        _print(client.why_assignment(assignment_id), as_json)


def _asked(client: Client, name: str | None) -> str | None:
    return None if name is None else agent_id(client, name)


def _print(found: Explanation, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows: list[tuple[str, Any]] = []
    rows += [("why", reason["sentence"]) for reason in found.get("reasons", ())]
    change = found.get("change")
    if change:
        when = "" if change["at_once"] else ", for the next agent that is free"
        rows.append(("would help", change["sentence"] + when))
    walker = found.get("agent")
    if found["walk"] and walker and for_people():
        rows.append(("walk of", walker["hostname"]))
    print_fields(rows)
    print_rows(("at", "place", "open", "owed", "walk"), map(_step, found["walk"]))


def _step(step: Step) -> tuple[Any, ...]:
    """Of an assignment it is kept whose turn it was, and who would have been next."""
    place, candidates, owed = (step.get(name) for name in ("place", "candidates", "owed"))
    numbers = (1, None, None) if "candidates" not in step else (place, candidates, owed)
    return step["queue"]["name"], *numbers, step["sentence"]
