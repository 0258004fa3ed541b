"""`farmqueue export`, `plan`, `apply` and `schema`: the tree as a file."""

import contextlib
import json
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from farmqueue.cli import tree_file
from farmqueue.cli.connection import connected, queue_id
from farmqueue.cli.exits import Exit, complain
from farmqueue.cli.options import AsJson, Url
from farmqueue.cli.output import for_people, harmless, plain, print_json, print_rows
from farmqueue.cli.tree_file import TreeFile
from farmqueue.errors import Conflict, Invalid
from farmqueue.planned import Plan, QueueEdit, Shift

File = Annotated[str, typer.Argument(metavar="FILE", help="The tree as YAML; - reads the pipe.")]
Delete = Annotated[
    bool, typer.Option("--delete", help="Queues that the file does not name are to go.")
]

_SIGNS = {"create": ("+", "green"), "change": ("~", "yellow"), "move": (">", "cyan"),
          "delete": ("-", "red")}  # fmt: skip
_UNLISTED_SHOWN = 10


def export(
    context: typer.Context,
    path: Annotated[
        str | None, typer.Argument(metavar="[PATH]", help="Only what is below this queue.")
    ] = None,
    output: Annotated[
        FilePath | None, typer.Option("--output", "-o", help="Into this file.")
    ] = None,
    ids: Annotated[
        bool, typer.Option(help="Write which queue each is, so that it may be moved and renamed.")
    ] = True,
    schema: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Name the schema for editors on top.")
    ] = None,
    url: Url = None,
) -> None:
    """Write the tree of queues as YAML. Applied as it is, it changes nothing."""
    with connected(context, url) as client:
        tree = client.tree(queue_id(client, path) if path and path != "/" else None)
    text = tree_file.written(tree, ids=ids, schema=schema)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def plan(
    context: typer.Context,
    file: File,
    delete: Delete = False,
    agents: Annotated[
        int | None, typer.Option(min=0, help="Share out so many; else those that are online.")
    ] = None,
    exit_code: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="2 where something is different, 0 where not."),
    ] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What is different between a file and the farm, and who wins or loses agents by it."""
    described = tree_file.read(file)
    with connected(context, url) as client, _explained(described):
        found = client.plan_queues(described.content, delete=delete, agents=agents)
    _print(found, as_json)
    for blocked in found["blocked"]:
        complain(f"it cannot be applied: {blocked['detail']}")
    if found["blocked"]:
        raise typer.Exit(Exit.CONFLICT)
    if exit_code and found["changes"]:
        raise typer.Exit(Exit.DIFFERENT)


def apply(
    context: typer.Context,
    file: File,
    delete: Delete = False,
    fingerprint: Annotated[
        str | None, typer.Option(help="Of the plan that was looked at: only that, or nothing.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make the farm as a file says, all of it or nothing; once more, it changes nothing.

    On a terminal it shows the plan and asks first.
    """
    described = tree_file.read(file)
    with connected(context, url) as client, _explained(described):
        if for_people() and not yes and not as_json and fingerprint is None:
            found = client.plan_queues(described.content, delete=delete)
            _print(found, as_json)
            if not found["changes"]:
                return
            if not found["blocked"]:
                typer.confirm("Apply this?", abort=True)
            fingerprint = found["fingerprint"]
        done = client.apply_queues(described.content, delete=delete, fingerprint=fingerprint)
    if for_people() and not as_json:
        sys.stdout.write(f"applied {len(done['changes'])} changes\n")
    else:
        _print(done, as_json)


def schema() -> None:
    """Print the JSON schema of the file, for editors: `# yaml-language-server: $schema=…`."""
    sys.stdout.write(files("farmqueue").joinpath("tree.schema.json").read_text("utf-8"))


@contextlib.contextmanager
def _explained(file: TreeFile) -> Iterator[None]:
    """What the service refuses of the file is told by its lines."""
    try:
        yield
    except Invalid as refused:
        if not refused.errors:
            raise
        for error in refused.errors:
            complain(file.place(error))
        if len(refused.errors) > 1 and "in all" in refused.detail:
            complain(refused.detail.rpartition("; ")[2])
        raise typer.Exit(Exit.REFUSED) from None
    except Conflict as refused:
        if refused.code == "plan_outdated":
            complain(str(refused), f"`farmqueue plan {file.name}` shows what is different now")
            raise typer.Exit(Exit.CONFLICT) from None
        raise


def _print(found: Plan, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif for_people():
        _print_for_people(found)
    else:
        _print_lines(found)


def _print_lines(found: Plan) -> None:
    """Rows for programs: the kind, the path, and what there is to say of it."""
    print_rows((), ((one["action"], one["path"], one["moved_from"], _fields(one))
                    for one in found["changes"]))  # fmt: skip
    shifts = found["entitled"] or []
    print_rows((), (("agents", one["path"], one["before"], one["after"]) for one in shifts))
    print_rows((), [("fingerprint", found["fingerprint"])])


def _print_for_people(found: Plan) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for one in found["changes"]:
        sign, colour = _SIGNS[one["action"]]
        was = f"  was {plain(one['moved_from'])}" if one["moved_from"] else ""
        console.print(Text(f"{sign} {plain(one['path'])}{was}  {_fields(one)}".rstrip(), colour))
    if found["entitled"]:
        console.print(Text(f"\nof {found['agents']} agents, by the rules:", "bold"))
    for shift in found["entitled"] or []:
        told = harmless(_shift(shift))
        console.print(Text(told, "green" if shift["after"] > shift["before"] else "red"))
    if found["unlisted_total"]:
        shown = ", ".join(found["unlisted"][:_UNLISTED_SHOWN])
        more = ", …" if found["unlisted_total"] > _UNLISTED_SHOWN else ""
        told = f"\n{found['unlisted_total']} queues are not in the file, and stay: {shown}{more}"
        console.print(Text(harmless(told), "dim"))
    console.print(Text(_summary(found["changes"]), "bold"))


def _shift(one: Shift) -> str:
    more = one["after"] - one["before"]
    return f"  {more:+d} {plain(one['path'])}  {one['before']} → {one['after']}"


def _summary(changes: list[QueueEdit]) -> str:
    if not changes:
        return "nothing is different"
    counts = {action: sum(one["action"] == action for one in changes) for action in _SIGNS}
    words = {"create": "to create", "change": "to change", "move": "to move", "delete": "to delete"}
    return "\n" + ", ".join(f"{count} {words[action]}" for action, count in counts.items() if count)


def _fields(one: QueueEdit) -> str:
    """weight: 10 → 20; of a new queue what is not the default."""
    if one["action"] == "create":
        fields = {name: values["after"] for name, values in one["fields"].items()}
        return ", ".join(
            f"{name}: {_word(value)}"
            for name, value in fields.items()
            if value != tree_file.DEFAULTS.get(name)
        )
    return ", ".join(
        f"{name}: {_word(values['before'])} → {_word(values['after'])}"
        for name, values in one["fields"].items()
    )


def _word(value: Any) -> str:
    return "none" if value is None else json.dumps(value)
