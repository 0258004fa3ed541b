"""`python -m benchmarks`: measure, print a table, keep the figures under benchmarks/results."""

import argparse
import importlib
import signal
import sys
import time

from rich.console import Console

from benchmarks.figures import Figure, save, table
from benchmarks.stage import Options, stage

# In this order; those that take long on purpose only where they are asked for.
PARTS = [
    "loop",
    "shapes",
    "scale",
    "wake",
    "hold",
    "edits",
    "bad",
    "replicas",
    "peers",
    "policy",
    "page",
    "simulate",
    "plans",
    "estimates",
]
ON_DEMAND = ["snapshot", "soak"]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    asked.add_argument("--seconds", type=float, help="length of one measurement")
    asked.add_argument("--minutes", type=float, default=10.0, help="length of the soak")
    given = asked.parse_args()
    parts = given.only.split(",")
    if unknown := set(parts) - {*PARTS, *ON_DEMAND}:
        asked.error(f"no such part: {', '.join(sorted(unknown))}")
    # Whoever ends it by a signal ends the processes that it started as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if sys.stdout.isatty() else 120)
    measured: dict[str, list[Figure]] = {}
    try:
        for part in parts:
            started = time.perf_counter()
            about, measured[part] = measure(part, Options(given.seconds, given.minutes))
            kept = save(part, about, measured[part])
            console.print(f"{part}: {time.perf_counter() - started:.0f} s, kept in {kept.name}")
    finally:
        console.print(table(measured))


def measure(part: str, options: Options) -> tuple[str, list[Figure]]:
    """What the part is about, and its figures."""
    module = importlib.import_module(f"benchmarks.{part}")
    with stage(options) as ready:
        figures: list[Figure] = module.run(ready)
    return (module.__doc__ or part).partition("\n")[0].rstrip("."), figures


if __name__ == "__main__":
    main()
