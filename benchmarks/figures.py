"""Figures: what was measured, what it should be, and where it is kept."""

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
_GB = 2**30

Value = float | str | list[float] | None


@dataclass(frozen=True)
class Figure:
    """A number with its unit and its target, if it has one; None where nothing could be measured.

    A list holds one number for each minute or round; it has no target.
    """

    name: str
    value: Value
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            aim = f", aim {self.aim:,g}" if self.aim is not None else ""
            return f">= {self.at_least:,g}{aim}"
        return f"<= {self.at_most:,g}" if self.at_most is not None else ""

    @property
    def holds(self) -> bool | None:
        if self.at_least is None and self.at_most is None:
            return None
        if not isinstance(self.value, float | int):
            return False
        if self.at_least is not None:
            return self.value >= self.at_least
        assert self.at_most is not None
        return self.value <= self.at_most

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "unit": self.unit,
            "target": self.target,
            "holds": self.holds,
        }


def percentile(values: Sequence[float], percent: float, scale: float = 1) -> float | None:
    """The value that so many percent of all do not exceed, None where there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] * scale


def ratio(of: float | None, to: float | None) -> float | None:
    return of / to if of is not None and to else None


def spread(values: Sequence[float]) -> float:
    """How far apart the rounds of one measurement lie, in percent of their median."""
    return (max(values) - min(values)) / statistics.median(values) * 100


def save(name: str, about: str, figures: Sequence[Figure]) -> Path:
    """Write the figures of one benchmark beside what they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    told = {
        "benchmark": name,
        "about": about,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": [figure.told() for figure in figures],
    }
    kept = RESULTS / f"{name}.json"
    kept.write_text(json.dumps(told, indent=2) + "\n")
    return kept


def machine() -> dict[str, str | int | float]:
    return {
        "cores": os.cpu_count() or 0,
        "memory_gb": round(psutil.virtual_memory().total / _GB, 1),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def table(measured: Mapping[str, Sequence[Figure]]) -> Table:
    """All figures, a section for each benchmark."""
    shown = Table()
    for column in ("benchmark", "figure", "value", "unit", "target", "holds"):
        shown.add_column(column, justify="right" if column == "value" else "left")
    marks = {True: "[green]yes", False: "[red]no", None: ""}
    for name, figures in measured.items():
        for number, figure in enumerate(figures):
            value = show(_rounded(figure.value))
            first = "" if number else name
            shown.add_row(
                first, figure.name, value, figure.unit, figure.target, marks[figure.holds]
            )
        shown.add_section()
    return shown


def show(value: Value) -> str:
    """A value as text, thousands apart."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return " ".join(map(show, value))
    return value if isinstance(value, str) else f"{value:,}"


def _rounded(value: Value) -> Value:
    if isinstance(value, list):
        return [_short(one) for one in value]
    return _short(value) if isinstance(value, float | int) else value


def _short(number: float) -> float:
    """Three digits that count; whole above a hundred."""
    if number == int(number):
        return int(number)
    digits = max(0, 2 - math.floor(math.log10(abs(number))))
    return round(number, digits) if digits else round(number)


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()
