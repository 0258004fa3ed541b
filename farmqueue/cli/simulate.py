"""`farmqueue simulate`: what would become of the farm, before anything is changed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from farmqueue.cli.connection import connected
from farmqueue.cli.options import AsJson, Url, given
from farmqueue.cli.output import print_json, print_rows

Json = dict[str, Any]

_COLUMNS = (
    *("queue", "now", "then", "mean", "then", "peak", "then"),
    *("below min", "then", "finish", "then"),
)
_FIELDS = ("agents_now", "mean_agents", "peak_agents", "seconds_below_minimum", "finish_seconds")
_WORDS: dict[str, Any] = {"none": None, "true": True, "false": False}


def simulate(
    context: typer.Context,
    request: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|-]", help="A request as JSON, as POST /simulate takes it."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH.FIELD=VALUE", help="/films.maximum_agents=20"),
    ] = None,
    more: Annotated[
        list[str] | None,
        typer.Option("--add-agents", metavar="N[,FIELD=VALUE...]", help="100,cpus=16,ram=65536"),
    ] = None,
    less: Annotated[
        list[str] | None,
        typer.Option("--remove-agents", metavar="N[,tags=TAG+TAG]", help="10,tags=old"),
    ] = None,
    hours: Annotated[float | None, typer.Option(help="How far to look; 24.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the task times that are drawn.")] = None,
    baseline: Annotated[
        bool, typer.Option(help="Tell as well what would be without the changes.")
    ] = True,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What if: the farm played forward with other limits, other agents, more work.

    Two columns of each kind: without the changes, and then with them. Seconds count from now;
    a queue with no finish still has work at the end. Nothing of the farm is changed.
    """
    asked = _read(request) | given(hours=hours, seed=seed)
    if not baseline:
        asked["baseline"] = False
    _add(asked, "queues", [_setting(words) for words in settings or ()])
    agents = asked.setdefault("changes", {}).setdefault("agents", {})
    agents["add"] = [*agents.get("add", []), *(_agents(words) for words in more or ())]
    agents["remove"] = [*agents.get("remove", []), *(_agents(words) for words in less or ())]
    with connected(context, url) as client:
        found = client.simulate(asked)
    if as_json:
        print_json(found)
    else:
        print_rows(_COLUMNS, _rows(found))


def _read(request: str | None) -> Json:
    if request is None:
        return {}
    try:
        text = sys.stdin.read() if request == "-" else Path(request).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError) as wrong:
        raise typer.BadParameter(str(wrong), param_hint="FILE") from None
    if not isinstance(found, dict):
        raise typer.BadParameter("it holds no JSON object", param_hint="FILE")
    return found


def _add(asked: Json, kind: str, entries: list[Json]) -> None:
    changes = asked.setdefault("changes", {})
    changes[kind] = [*changes.get(kind, []), *entries]


def _setting(words: str) -> Json:
    """/films/a.b.weight=3 → the field after the last point of the queue before it."""
    where, is_one, value = words.partition("=")
    path, point, field = where.rpartition(".")
    if not is_one or not point or not path.startswith("/"):
        raise typer.BadParameter(f"{words!r} is not PATH.FIELD=VALUE", param_hint="--set")
    return {"queue": path, field: _value(value, "--set")}


def _agents(words: str) -> Json:
    number, *rest = words.split(",")
    fields: Json = {"count": _value(number, "agents")}
    for part in rest:
        name, is_one, value = part.partition("=")
        if not is_one:
            raise typer.BadParameter(f"{part!r} is not FIELD=VALUE", param_hint="agents")
        fields[name] = value.split("+") if name == "tags" else _value(value, "agents")
    return fields


def _value(word: str, option: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        return int(word)
    except ValueError:
        raise typer.BadParameter(
            f"{word!r} is no number, true, false or none", param_hint=option
        ) from None


def _rows(found: Json) -> Iterator[tuple[Any, ...]]:
    """A line for each queue that is there without the changes or with them."""
    sides = [found["baseline"] or {"queues": []}, found["changed"]]
    before, after = ({one["queue"]: one for one in side["queues"]} for side in sides)
    for path in sorted({*before, *after}):
        pair = (before.get(path, {}), after.get(path, {}))
        yield (path, *(side.get(field) for field in _FIELDS for side in pair))
