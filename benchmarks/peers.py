"""20,000 no-op tasks by this farm over HTTP, by Procrastinate, by PgQueuer; 64 at a time.

The other two are flat queues whose workers sit on the database themselves; each works in one
process. `make bench-peers` installs them into a virtual environment of their own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.agents import Agents, Sample
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure, ratio
from benchmarks.stage import Stage

AGENTS = 64
JOBS, TASKS_OF_JOB = 20, 1_000
PEERS = {"procrastinate": "Procrastinate", "pgqueuer": "PgQueuer"}
PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
LONGEST = 600  # seconds


def run(stage: Stage) -> list[Figure]:
    # A shorter measurement has fewer tasks, the same for all three.
    shape = Shape(queues=1, jobs=round(stage.options.length(JOBS)) or 1, tasks=TASKS_OF_JOB)
    tasks = shape.jobs * shape.tasks
    ours = _ours(stage, shape)
    done = len(ours.latencies)
    speed = done / ours.seconds
    figures = [
        Figure("farmqueue: tasks", speed, "/s"),
        Figure("farmqueue: tasks done", done, at_least=tasks),
    ]
    if not PYTHON.exists():
        return [*figures, Figure("the others", "not installed: make bench-peers")]
    for name, title in PEERS.items():
        told = _peer(name, _fresh(stage), tasks)
        theirs = told["done"] / told["seconds"]
        figures += [
            Figure(f"{title} {told['version']}: tasks", theirs, "/s"),
            Figure(f"{title}: tasks done", told["done"], at_least=tasks),
            Figure(f"farmqueue to {title}", ratio(speed, theirs)),
        ]
    return figures


def _ours(stage: Stage, shape: Shape) -> Sample:
    database = stage.database()
    agent_ids = uvloop.run(build(database, shape, AGENTS))
    with stage.service(database) as service:
        return uvloop.run(_to_the_end(service.url, agent_ids))


async def _to_the_end(url: str, agent_ids: list[str]) -> Sample:
    agents = await Agents.connect([url], agent_ids)
    sample = await agents.loop(LONGEST, to_the_end=True)
    agents.close()
    return sample


def _fresh(stage: Stage) -> str:
    """A database in which nothing is, as the others' own libraries take it."""
    return stage.empty_database().replace("+asyncpg", "")


def _peer(name: str, url: str, tasks: int) -> dict[str, Any]:
    script = Path(__file__).with_name("peer_workers.py")
    command = [str(PYTHON), str(script), name, url, str(tasks)]
    worked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)  # noqa: S603
    if worked.returncode:
        raise RuntimeError(f"{name}: {worked.stderr[-2_000:]}")
    told: dict[str, Any] = json.loads(worked.stdout.splitlines()[-1])
    return told
