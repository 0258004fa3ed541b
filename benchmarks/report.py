"""`python -m benchmarks.report`: the kept figures as Markdown tables, on standard output."""

import json
from pathlib import Path
from typing import Any

from benchmarks.__main__ import ON_DEMAND, PARTS
from benchmarks.figures import RESULTS, show

_MARKS = {True: "yes", False: "no", None: ""}


def main() -> None:
    kept = [path for part in (*PARTS, *ON_DEMAND) if (path := RESULTS / f"{part}.json").exists()]
    if not kept:
        raise SystemExit("there are no figures yet: make bench")
    print("\n\n".join(_table(path) for path in kept))


def _table(path: Path) -> str:
    told = json.loads(path.read_text())
    machine = told["machine"]
    facts = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB",
        f"{machine['system']}, Python {machine['python']}",
        told["date"],
    ]
    return "\n".join(
        [
            f"### {told['benchmark']}",
            "",
            f"{told['about']}. {'; '.join(facts)}.",
            "",
            "| figure | value | target | holds |",
            "| --- | ---: | --- | --- |",
            *map(_row, told["figures"]),
        ]
    )


def _row(figure: dict[str, Any]) -> str:
    value = f"{show(figure['value'])} {figure['unit']}".strip()
    return f"| {figure['name']} | {value} | {figure['target']} | {_MARKS[figure['holds']]} |"


if __name__ == "__main__":
    main()
