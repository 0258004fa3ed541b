"""64 agents loop while another session keeps a snapshot open, as a forgotten psql or a dump does.

Nothing that became old since then can be cleared away: every row that is written again and again
keeps all its versions. What a cycle costs must not grow with them.
"""

import uvloop

from app.db.driver import connect
from benchmarks.agents import Agents, Sample
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure, ratio
from benchmarks.stage import Stage

AGENTS = 64
SHAPE = Shape(queues=10, jobs=20, tasks=100_000)
PARTS = 6  # of the time that the snapshot is held


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(build(database, SHAPE, AGENTS))
    seconds = stage.options.length(20)
    with stage.service(database) as service:
        return uvloop.run(_measure(service.url, database, agent_ids, seconds))


async def _measure(url: str, database: str, agent_ids: list[str], seconds: float) -> list[Figure]:
    agents = await Agents.connect([url], agent_ids)
    await agents.loop(seconds / 4)  # to warm up
    before = await agents.loop(seconds)
    holder = await connect(database)
    await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agents")
    held = [await agents.loop(seconds) for _ in range(PARTS)]
    await holder.execute("ROLLBACK")
    await holder.close()
    after = await agents.loop(seconds)
    agents.close()
    return _figures(before, held, after)


def _figures(before: Sample, held: list[Sample], after: Sample) -> list[Figure]:
    last = held[-1]
    refused = sum(one.refused.total() for one in (before, *held, after))
    return [
        Figure("before: assignments", before.per_second, "/s"),
        Figure("before: p50", before.ms(50), "ms"),
        Figure("before: p99", before.ms(99), "ms"),
        Figure("held: seconds", sum(one.seconds for one in held), "s"),
        Figure("held: assignments, each part", [one.per_second for one in held], "/s"),
        Figure("held: p50, each part", [one.ms(50) or 0 for one in held], "ms"),
        Figure("held: p99, each part", [one.ms(99) or 0 for one in held], "ms"),
        Figure("p99, last part to before", ratio(last.ms(99), before.ms(99)), at_most=2),
        Figure("after: p99", after.ms(99), "ms"),
        Figure("refused", refused, at_most=0),
    ]
