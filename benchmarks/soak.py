"""64 agents at full speed for minutes: latencies, dead rows and sizes of tables, minute by minute.

Jobs differ in length, and for those that end as many new ones are submitted: the farm stays as
large as it was. So do its latencies, if nothing that has ended is looked at again.
"""

import asyncio
from collections import defaultdict

import uvloop

from app.db.driver import connect
from benchmarks.agents import Agents, Sample
from benchmarks.client import Caller
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure, ratio
from benchmarks.stage import Stage

AGENTS = 64
SHAPE = Shape(queues=100, jobs=1_000, tasks=50, staggered=True)
MOST_AT_ONCE = 1_000  # jobs of one batch
_MB = 2**20

_TABLES = """
SELECT relname AS name, n_dead_tup AS dead, pg_total_relation_size(relid) AS size
FROM pg_stat_user_tables WHERE relname <> 'alembic_version' ORDER BY relname
"""

_UNFINISHED = "SELECT count(*) FROM jobs WHERE time_finished IS NULL"

Tables = dict[str, list[float]]


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(build(database, SHAPE, AGENTS))
    with stage.service(database) as service:
        return uvloop.run(_soak(database, service.url, agent_ids, stage.options.minutes))


async def _soak(database: str, url: str, agent_ids: list[str], minutes: float) -> list[Figure]:
    agents = await Agents.connect([url], agent_ids)
    operator = await Caller.open(url)
    periods = max(2, round(minutes))
    samples: list[Sample] = []
    dead: Tables = defaultdict(list)
    size: Tables = defaultdict(list)
    for _ in range(periods):
        looping = asyncio.create_task(agents.loop(minutes * 60 / periods))
        await _refill(database, operator, looping)
        samples.append(await looping)
        await _look(database, dead, size)
    agents.close()
    operator.close()
    return [*_of_samples(samples), *_of_tables(dead, size)]


async def _refill(database: str, operator: Caller, looping: asyncio.Task[Sample]) -> None:
    """Until the loop is over, submit as many jobs as have ended."""
    connection = await connect(database)
    while not looping.done():
        await asyncio.wait([looping], timeout=1)
        missing = SHAPE.jobs - await connection.fetchval(_UNFINISHED)
        if missing > 0:
            jobs = [_job(number) for number in range(min(missing, MOST_AT_ONCE))]
            await operator.must("POST", "/jobs/batch", {"jobs": jobs})
    await connection.close()


def _job(number: int) -> dict[str, object]:
    queue = f"/q{1 + number % SHAPE.queues}"
    return {"title": "soak", "queue": queue, "start": 1, "end": 1 + number % (2 * SHAPE.tasks)}


async def _look(database: str, dead: Tables, size: Tables) -> None:
    connection = await connect(database)
    for row in await connection.fetch(_TABLES):
        dead[row["name"]].append(row["dead"])
        size[row["name"]].append(row["size"] / _MB)
    await connection.close()


def _of_samples(samples: list[Sample]) -> list[Figure]:
    p99 = [sample.ms(99) for sample in samples]
    refused = sum(sample.refused.total() for sample in samples)
    return [
        Figure("p99 of the last minute to that of the first", ratio(p99[-1], p99[0]), at_most=1.2),
        Figure("assignments", [sample.per_second for sample in samples], "/s"),
        Figure("p50", [sample.ms(50) or 0 for sample in samples], "ms"),
        Figure("p99", [found or 0 for found in p99], "ms"),
        Figure("refused", refused, at_most=0),
    ]


def _of_tables(dead: Tables, size: Tables) -> list[Figure]:
    return [
        *(Figure(f"{name}: dead rows", found) for name, found in dead.items()),
        *(Figure(f"{name}: size", found, "MB") for name, found in size.items()),
    ]
