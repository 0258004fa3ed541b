"""One, two and four service processes on one database, 64 agents spread over them.

At the end an audit plays the history back: no queue may have been over its maximum at any
assignment, no agent have held two, no task have been done twice.
"""

from typing import Any

import uvloop

from app.audit.service import audit
from benchmarks.agents import Agents, Sample
from benchmarks.client import Caller
from benchmarks.farm import add_agents
from benchmarks.figures import Figure, ratio
from benchmarks.stage import Stage

AGENTS = 64
PROCESSES = [1, 2, 4]
TASKS = 50_000
# How many agents may be in each queue: together they have room for 64, and most are full.
MAXIMUMS = [None, 1, 2, 3, 5, 8, 13, 20]


def run(stage: Stage) -> list[Figure]:
    figures: list[Figure] = []
    speeds: dict[int, float] = {}
    for processes in PROCESSES:
        database = stage.database()
        agent_ids = uvloop.run(add_agents(database, AGENTS))
        with stage.services(database, processes) as urls:
            sample = uvloop.run(_loop(urls, agent_ids, stage.options.length(5)))
            broken, made = uvloop.run(_audited(database))
        speeds[processes] = sample.per_second
        of = "1 process" if processes == 1 else f"{processes} processes"
        figures += [
            Figure(f"{of}: assignments", sample.per_second, "/s"),
            Figure(f"{of}: p50", sample.ms(50), "ms"),
            Figure(f"{of}: p99", sample.ms(99), "ms"),
            Figure(f"{of}: refused", sample.refused.total(), at_most=0),
            Figure(f"{of}: assignments played back", made),
            Figure(f"{of}: rules broken", broken, at_most=0),
        ]
    for processes in PROCESSES[1:]:
        gain = ratio(speeds[processes], speeds[PROCESSES[0]])
        figures.append(Figure(f"{processes} processes to one", gain))
    return figures


async def _loop(urls: list[str], agent_ids: list[str], seconds: float) -> Sample:
    operator = await Caller.open(urls[0])
    await _build(operator)
    operator.close()
    agents = await Agents.connect(urls, agent_ids)
    await agents.loop(seconds / 4)  # to warm up
    sample = await agents.loop(seconds)
    agents.close()
    return sample


async def _build(operator: Caller) -> None:
    """Three levels with maximums, made over HTTP: the history tells them from the first row on."""
    jobs: list[dict[str, Any]] = []
    for name, maximum in enumerate(MAXIMUMS):
        top = {"name": f"t{name}", "maximum_agents": maximum}
        await operator.must("POST", "/jobqueues", top)
        for below, limit in enumerate((None, 2, 7)):
            queue = {"name": f"b{below}", "parent": f"/t{name}", "maximum_agents": limit}
            await operator.must("POST", "/jobqueues", queue)
            job = {"queue": f"/t{name}/b{below}", "start": 1, "end": TASKS}
            jobs += [job | {"title": f"job {n}", "maximum_agents": n or None} for n in range(4)]
    await operator.must("POST", "/jobs/batch", {"jobs": jobs})


async def _audited(database: str) -> tuple[float | str, int]:
    """How many rules were broken, the first of them in words; and the assignments played back."""
    audited = await audit(database)
    found = audited.findings
    if found:
        first = found.kept[0]
        return f"{first.check}: {first.subject} {first.detail}", audited.replayed
    return 0, audited.replayed
