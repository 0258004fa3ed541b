"""No-op tasks through another queue on PostgreSQL, by its own asynchronous worker.

`python peer_workers.py NAME URL TASKS` prints, as JSON, the seconds from the worker's start until
the last task is done, and how many were. It runs in the virtual environment of the peers.
"""

import asyncio
import json
import sys
import time
from importlib import import_module
from importlib.metadata import version

CONCURRENCY = 64
AT_ONCE = 5_000  # tasks put in with one call


async def procrastinate(url: str, tasks: int) -> tuple[float, int]:
    library = import_module("procrastinate")
    app = library.App(connector=library.PsycopgConnector(conninfo=url))
    done = 0

    async def nothing() -> None:
        nonlocal done
        done += 1

    task = app.task(name="nothing")(nothing)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for some in _portions(tasks):
            await task.batch_defer_async(*({} for _ in range(some)))
        started = time.perf_counter()
        await app.run_worker_async(
            concurrency=CONCURRENCY, wait=False, install_signal_handlers=False
        )
        return time.perf_counter() - started, done


async def pgqueuer(url: str, tasks: int) -> tuple[float, int]:
    library = import_module("pgqueuer")
    pool = await import_module("asyncpg").create_pool(url)
    queuer = library.PgQueuer(library.AsyncpgPoolDriver(pool))
    queries = library.Queries(queuer.connection)
    done = 0

    async def nothing(_job: object) -> None:
        nonlocal done
        done += 1

    queuer.entrypoint("nothing")(nothing)
    await queries.install()
    for some in _portions(tasks):
        await queries.enqueue(["nothing"] * some, [None] * some, [0] * some)
    started = time.perf_counter()
    await queuer.qm.run(
        batch_size=CONCURRENCY // 2,  # the most that it allows with so many at work
        max_concurrent_tasks=CONCURRENCY,
        mode=import_module("pgqueuer.types").QueueExecutionMode.drain,
    )
    return time.perf_counter() - started, done


def _portions(tasks: int) -> list[int]:
    return [min(AT_ONCE, tasks - first) for first in range(0, tasks, AT_ONCE)]


def main() -> None:
    name, url, tasks = sys.argv[1:]
    work = {"procrastinate": procrastinate, "pgqueuer": pgqueuer}[name]
    with asyncio.Runner(loop_factory=import_module("uvloop").new_event_loop) as runner:
        seconds, done = runner.run(work(url, int(tasks)))
    print(json.dumps({"version": version(name), "seconds": seconds, "done": done}))


if __name__ == "__main__":
    main()
