"""What commands print: tables for people; for programs, lines with tabs between fields, or JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_COLOURS = {
    "running": "cyan",
    "done": "green",
    "online": "green",
    "failed": "bold red",
    "disabled": "red",
    "offline": "dim",
    "queued": "yellow",
    "draining": "yellow",
    "paused": "magenta",
}

Row = Sequence[Any]


def for_people() -> bool:
    """Whether the output goes to a terminal."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_rows(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """A table on a terminal; into a pipe one line a row, no header, fields parted by tabs."""
    if not for_people():
        for row in rows:
            sys.stdout.write("\t".join(plain(value) for value in row) + "\n")
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(_coloured(value) for value in row))
    Console().print(table)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """One thing, a line for each of its fields."""
    if not for_people():
        print_rows((), fields)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in fields:
        table.add_row(Text(name, "bold"), _coloured(value))
    Console().print(table)


def plain(value: Any) -> str:
    """A field that holds neither a tab nor a line's end; - where there is nothing."""
    words = _words(value)
    return (
        words.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )


def _coloured(value: Any) -> Text:
    # Not a plain string: a title in brackets would be taken for markup.
    return Text(_words(value), _COLOURS.get(value, "") if isinstance(value, str) else "")


def _words(value: Any) -> str:
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value)
