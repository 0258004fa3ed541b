"""Assignments a second in a closed loop: each agent asks, reports what it got, asks again.

`python -m benchmarks.closed_loop` starts the embedded PostgreSQL and one service process for each
shape, plays agents against it over keep-alive connections, and prints a table; the same figures go
to benchmarks/results/closed_loop.json. Figures depend on the machine: compare those of one run.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from app.db.embedded import database_url
from app.db.migrations import upgrade_at
from app.settings import Settings
from benchmarks.farm import Shape, build
from benchmarks.http import Connection
from tests.processes import service

SHAPES = [
    Shape("10 queues, 50 jobs, 1,000 tasks", queues=10, jobs=50, tasks=20),
    Shape("100 queues, 1,000 jobs, 20,000 tasks", queues=100, jobs=1_000, tasks=20),
    Shape("1,000 queues, 10,000 jobs, 100,000 tasks", queues=1_000, jobs=10_000, tasks=10),
]
RESULTS = Path(__file__).parent / "results" / "closed_loop.json"


@dataclass
class Figure:
    """What one shape gave; latencies of `POST /assign` in milliseconds."""

    shape: str
    agents: int
    assignments: int
    per_second: float
    p50_ms: float
    p99_ms: float


async def measure(url: str, shape: Shape, agent_ids: list[str], seconds: float) -> Figure:
    """Let the agents loop for so many seconds, or until no task is left."""
    latencies: list[float] = []
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for agent_id in agent_ids:
            group.create_task(_loop(url, agent_id, started + seconds, latencies))
    took = time.perf_counter() - started
    ordered = sorted(latencies)
    return Figure(
        shape.name,
        len(agent_ids),
        len(latencies),
        round(len(latencies) / took, 1),
        round(statistics.median(ordered) * 1000, 2),
        round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
    )


async def _loop(url: str, agent_id: str, until: float, latencies: list[float]) -> None:
    connection = await Connection.open(url)
    body: dict[str, object] = {"agent_id": agent_id}
    while (asked := time.perf_counter()) < until:
        status, answer = await connection.post("/assign", body)
        if status != httpx.codes.OK:
            break
        latencies.append(time.perf_counter() - asked)
        results = [{"task_id": task["id"], "state": "done"} for task in answer["tasks"]]
        body = {"agent_id": agent_id, "assignment_id": answer["id"], "results": results}
    connection.close()


def run(shape: Shape, agents: int, seconds: float) -> Figure:
    """One shape on a database and a service process of its own."""
    with (
        tempfile.TemporaryDirectory() as home,
        database_url(Settings(data_dir=Path(home) / "data")) as url,
    ):
        asyncio.run(upgrade_at(Settings(), url))
        agent_ids = asyncio.run(build(url, shape, agents))
        with service(url, Path(home) / "log", lease_seconds=3600) as served:
            return asyncio.run(measure(served, shape, agent_ids, seconds))


def table(figures: list[Figure]) -> Table:
    shown = Table("farm", "agents", "assignments/s", "p50 ms", "p99 ms", "assignments")
    for figure in figures:
        shown.add_row(
            figure.shape,
            str(figure.agents),
            f"{figure.per_second:,.0f}",
            f"{figure.p50_ms:.1f}",
            f"{figure.p99_ms:.1f}",
            f"{figure.assignments:,}",
        )
    return shown


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--agents", type=int, default=64)
    asked.add_argument("--seconds", type=float, default=10)
    options = asked.parse_args()
    figures = [run(SHAPES[0], 1, options.seconds)]
    figures += [run(shape, options.agents, options.seconds) for shape in SHAPES]
    Console().print(table(figures))
    RESULTS.parent.mkdir(exist_ok=True)
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    told = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
