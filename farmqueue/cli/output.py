"""What commands print: tables for people; for programs, lines with tabs between fields, or JSON."""

import json
import re
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

# What a terminal would obey. Titles and errors come from others: from whatever a task printed, or
# from whoever has an agent's token. Colours are left out, of all else it is told that it was there.
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_COMMAND = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(words: str) -> str:
    """Words that do nothing to a terminal but show, in lines and with tabs."""
    return _COMMAND.sub("\ufffd", _COLOUR.sub("", words.replace("\r\n", "\n")))


def for_people() -> bool:
    """Whether the output goes to a terminal."""
    return sys.stdout.isatty()


def print_json(value: Any) -> None:
    told = json.dumps(value, indent=2, ensure_ascii=False)
    # The lower ones are escaped already; here a tab or a line's end is none of the value's.
    sys.stdout.write(re.sub(r"[\x7f-\x9f]", lambda one: f"\\u{ord(one[0]):04x}", told) + "\n")


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
    """A field that holds neither a tab nor a line's end nor a command; - where there is nothing."""
    words = _words(value)
    words = (
        words.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    )
    return _COMMAND.sub(lambda one: f"\\x{ord(one[0]):02x}", words)


def _coloured(value: Any) -> Text:
    # Not a plain string: a title in brackets would be taken for markup.
    return Text(harmless(_words(value)), _COLOURS.get(value, "") if isinstance(value, str) else "")


def _words(value: Any) -> str:
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ",".join(str(item) for item in value)
    return str(value)
