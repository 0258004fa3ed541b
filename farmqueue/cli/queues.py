"""`farmqueue queues` and `farmqueue queue …`: look at the tree, and change it."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from farmqueue.cli.connection import connected, queue_id
from farmqueue.cli.options import (
    AsJson,
    Maximum,
    Minimum,
    Priority,
    Url,
    Weight,
    given,
    turn_fields,
)
from farmqueue.cli.output import for_people, print_fields, print_json, print_rows
from farmqueue.cli.verbs import ShownByDefault
from farmqueue.model import Queue, QueueNode

queue = typer.Typer(cls=ShownByDefault, no_args_is_help=True)

Path = Annotated[str, typer.Argument(metavar="PATH", help="For example /films/hero.")]
PreferRunning = Annotated[
    bool | None,
    typer.Option(
        "--prefer-running-jobs/--no-prefer-running-jobs",
        help="Jobs that have agents come before jobs that have none.",
    ),
]

_COLUMNS = ("queue", "priority", "weight", "min", "max", "agents", "waiting", "running", "paused")


def queues(
    context: typer.Context,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="Only this queue and all below.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The tree: limits, agents at work, tasks that wait and run."""
    with connected(context, url) as client:
        tree = client.tree(queue_id(client, path) if path and path != "/" else None)
    if as_json:
        print_json(tree)
    else:
        print_rows(_COLUMNS, _rows(tree, 0))


@queue.command()
def show(context: typer.Context, path: Path, url: Url = None, as_json: AsJson = False) -> None:
    """A queue, its children and its jobs; `farmqueue queue PATH` does the same."""
    with connected(context, url) as client:
        found = client.queue(queue_id(client, path))
    if as_json:
        print_json(found)
        return
    children = [child["name"] for child in found["children"]]
    jobs = [f"{job['id']} {job['title']}" for job in found["jobs"]]
    print_fields(
        [
            *_fields(found),
            (f"children ({found['children_total']})", children),
            (f"jobs ({found['jobs_total']})", jobs),
        ]
    )


@queue.command()
def create(
    context: typer.Context,
    path: Path,
    priority: Priority = None,
    weight: Weight = None,
    minimum: Minimum = None,
    maximum: Maximum = None,
    prefer_running_jobs: PreferRunning = None,
    paused: Annotated[bool, typer.Option(help="Give nothing out of it yet.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a queue; the queue above it must be there."""
    above, _, name = path.rpartition("/")
    fields = turn_fields(priority, weight, minimum, maximum)
    fields |= given(prefer_running_jobs=prefer_running_jobs, paused=paused or None)
    with connected(context, url) as client:
        _print(client.create_queue(name, parent=above or None, **fields), as_json)


@queue.command("set")
def set_fields(
    context: typer.Context,
    path: Path,
    priority: Priority = None,
    weight: Weight = None,
    minimum: Minimum = None,
    maximum: Maximum = None,
    prefer_running_jobs: PreferRunning = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change limits, priority and weight; what is not named stays."""
    changes = turn_fields(priority, weight, minimum, maximum)
    changes |= given(prefer_running_jobs=prefer_running_jobs)
    if not changes:
        raise typer.BadParameter("name what to change, for example --maximum 8")
    _change(context, url, path, changes, as_json)


@queue.command()
def move(
    context: typer.Context,
    path: Path,
    parent: Annotated[
        str, typer.Argument(metavar="PARENT", help="Where it goes; / is the top level.")
    ],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Hang a queue, with all below it, under another."""
    _change(context, url, path, {"parent": parent}, as_json)


@queue.command()
def rename(
    context: typer.Context,
    path: Path,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give a queue another name; every path below follows."""
    _change(context, url, path, {"name": name}, as_json)


@queue.command()
def pause(context: typer.Context, path: Path, url: Url = None, as_json: AsJson = False) -> None:
    """Give nothing more out of a queue; what runs may finish."""
    _change(context, url, path, {"paused": True}, as_json)


@queue.command()
def resume(context: typer.Context, path: Path, url: Url = None, as_json: AsJson = False) -> None:
    """Let a paused queue go on."""
    _change(context, url, path, {"paused": False}, as_json)


@queue.command()
def delete(context: typer.Context, path: Path, url: Url = None, as_json: AsJson = False) -> None:
    """Delete a queue that has neither children nor jobs; --json prints its id, in a list."""
    with connected(context, url) as client:
        deleted = queue_id(client, path)
        client.delete_queue(deleted)
    if as_json:
        print_json([deleted])


def _change(
    context: typer.Context, url: str | None, path: str, changes: dict[str, Any], as_json: bool
) -> None:
    with connected(context, url) as client:
        _print(client.change_queue(queue_id(client, path), **changes), as_json)


def _print(found: Queue, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_fields(_fields(found))


def _fields(found: Queue) -> list[tuple[str, Any]]:
    return [
        ("queue", found["fullpath"]),
        ("id", found["id"]),
        ("priority", found["priority"]),
        ("weight", found["weight"]),
        ("minimum", found["minimum_agents"]),
        ("maximum", found["maximum_agents"]),
        ("agents", found["assigned_agents"]),
        ("prefer running jobs", found["prefer_running_jobs"]),
        ("paused", found["paused"]),
    ]


def _rows(node: QueueNode, depth: int) -> Iterator[tuple[Any, ...]]:
    """The node and all below it; people see the depth, programs the whole path."""
    name = "  " * depth + (node["name"] or "/") if for_people() else node["fullpath"]
    yield (
        name,
        node["priority"],
        node["weight"],
        node["minimum_agents"],
        node["maximum_agents"],
        node["assigned_agents"],
        node["tasks"]["waiting"],
        node["tasks"]["running"],
        node["paused"],
    )
    for child in node["children"]:
        yield from _rows(child, depth + 1)
