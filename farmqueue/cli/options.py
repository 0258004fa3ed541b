"""Options that several commands share, and how their words become fields of the farm."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from farmqueue.client import DEFAULT_URL

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="FARMQUEUE_URL", help="Where the service is.", show_default=DEFAULT_URL
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Priority = Annotated[
    int | None, typer.Option(help="-1000 to 1000; strict among siblings, higher first.")
]
Weight = Annotated[
    int | None, typer.Option(help="0 to 1000000; shares among siblings of one priority.")
]
Minimum = Annotated[
    str | None, typer.Option(metavar="N|none", help="Agents served before anything else.")
]
Maximum = Annotated[
    str | None, typer.Option(metavar="N|none", help="Never more agents than this; 0 closes it.")
]


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were named on the command line."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def turn_fields(
    priority: int | None, weight: int | None, minimum: str | None, maximum: str | None
) -> dict[str, Any]:
    """What decides whose turn it is, as far as it was named; the word none lifts a limit."""
    limits = {"minimum_agents": ("--minimum", minimum), "maximum_agents": ("--maximum", maximum)}
    return given(priority=priority, weight=weight) | {
        field: _limit(option, word) for field, (option, word) in limits.items() if word is not None
    }


def finite(number: float | None) -> float | None:
    """An option's number unless it is nan or inf, which JSON cannot say."""
    if number is not None and not math.isfinite(number):
        raise typer.BadParameter(f"{number} is no number to work with")
    return number


def pairs(words: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE words as a dictionary."""
    for word in words:
        if "=" not in word:
            raise typer.BadParameter(f"{word!r} is not NAME=VALUE", param_hint=option)
    return dict(word.split("=", 1) for word in words)


def _limit(option: str, word: str) -> int | None:
    if word.lower() == "none":
        return None
    try:
        return int(word)
    except ValueError:
        raise typer.BadParameter(
            f"{word!r} is neither a number nor none", param_hint=option
        ) from None
