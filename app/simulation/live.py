"""The farm as it is now, read in one snapshot: nothing waits for it, and it changes nothing."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from math import exp
from typing import Any

import asyncpg

from app.db.driver import connect
from app.policy.changes import freed_ram
from app.policy.states import Mode
from app.scheduler import store as scheduler
from app.simulation import store
from app.simulation.durations import Model
from app.simulation.picture import Picture, Row

# What is measured of one job, and of the jobs of a queue that are over.
TASKS, TASKS_OVER, JOBS_OVER = 100, 20, 5

# So few say nothing of how much they differ.
FEW = 5


async def read(url: str, spread: float, timeout: float) -> Picture:  # noqa: ASYNC109
    """The live farm, and what was measured of it.

    `spread` is that of task times of which too few were measured.
    """
    async with snapshot(url, timeout) as connection:
        picture = await rows(connection)
        await measure(connection, picture, spread, picture.jobs.values())
    return picture


@asynccontextmanager
async def snapshot(url: str, timeout: float) -> AsyncIterator[asyncpg.Connection]:  # noqa: ASYNC109
    """A connection that sees one moment, and changes nothing."""
    milliseconds = f"{int(timeout * 1_000)}ms"
    connection = await connect(
        url,
        timeout=timeout,
        server_settings={
            "application_name": "farmqueue simulation",
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "jit": "off",
            "timezone": "UTC",
        },
    )
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection
    finally:
        connection.terminate()


async def rows(connection: asyncpg.Connection) -> Picture:
    """The farm, of which nothing is measured yet."""
    picture = Picture(at=await store.now(connection))
    picture.queues = {row["id"]: dict(row) for row in await scheduler.queues(connection)}
    picture.jobs = {row["id"]: dict(row) for row in await scheduler.jobs(connection)}
    for row in await store.titles(connection):
        picture.jobs[row["id"]]["title"] = row["title"]
    failed: dict[int, dict[int, Any]] = defaultdict(dict)
    for row in await scheduler.failed_before(connection):
        failed[row["job_id"]][row["ordinal"]] = frozenset(row["failed_by"])
    picture.failed = failed
    rows = {row["id"]: row for row in await scheduler.agents(connection)}
    for more in await store.agents(connection):
        picture.agents.append(_agent(picture, {**rows[more["id"]], **more}))
    return picture


def _agent(picture: Picture, row: Row) -> Row:
    """What it works on has memory that it reports as not free: that comes back."""
    if row["job_id"] is not None and row["mode"] == Mode.ENABLED:
        asked = picture.jobs[row["job_id"]]["ram"]
        row["free_ram"] = freed_ram(row["free_ram"], row["ram"], asked)
    return row


async def measure(
    connection: asyncpg.Connection, picture: Picture, spread: float, jobs: Iterable[Row]
) -> None:
    """Task times of the picture's jobs; and of the queues in which others of `jobs` are.

    Those jobs may be made up, and in other queues than they are.
    """
    begun = [row["id"] for row in picture.jobs.values() if row["tasks_done"]]
    measured = await store.measured(connection, begun, TASKS)
    known = {row["id"] for row in measured}
    unknown = {row["job_queue_id"] for row in jobs if row["id"] not in known}
    over = {
        row["id"]: row["job_queue_id"]
        for row in await store.jobs_over(connection, sorted(unknown, key=str), JOBS_OVER)
    }
    measured_over = await store.measured(connection, list(over), TASKS_OVER)
    learn(picture, measured, [(over[row["id"]], row) for row in measured_over], spread)


def learn(
    picture: Picture,
    measured: Sequence[Any],
    over: Sequence[tuple[int | None, Any]],
    spread: float,
) -> None:
    """The models of the picture: by what was measured of its jobs, and of others of the queues.

    Rows have `id`, `number`, and of the logarithm of seconds a task `mu` and `sigma`.
    """
    picture.models = {row["id"]: pooled([row], spread) for row in measured}
    by_queue: dict[int | None, list[Any]] = defaultdict(list)
    for row in measured:
        by_queue[picture.jobs[row["id"]]["job_queue_id"]].append(row)
    for queue_id, row in over:
        by_queue[queue_id].append(row)
    picture.queue_models = {
        queue_id: pooled(rows, spread, others=True) for queue_id, rows in by_queue.items()
    }
    rows = [row for some in by_queue.values() for row in some]
    picture.any_model = pooled(rows, spread, others=True) if rows else None


def pooled(rows: Sequence[Any], spread: float, *, others: bool = False) -> Model:
    """One for all of them: the spread within each, and between them.

    `others`: it stands for a job that is not among them. What is in doubt of it is as much as the
    jobs differ; of one that was measured, as little as so many tasks leave.
    """
    number = sum(row["number"] for row in rows)
    mu = sum(row["mu"] * row["number"] for row in rows) / number
    if number < FEW:
        few = Model.of(exp(mu), spread)
        return Model(few.mu, few.sigma, few.sigma if others else few.sigma / number**0.5)
    between = _mean((row["number"], (row["mu"] - mu) ** 2) for row in rows)
    square = between + _mean((row["number"], row["sigma"] ** 2) for row in rows)
    if len(rows) == 1:
        between = square  # of how much jobs differ nothing is known
    doubt = between if others else square / number
    return Model(mu, square**0.5, doubt**0.5)


def _mean(weighed: Iterable[tuple[int, float]]) -> float:
    pairs = list(weighed)
    return sum(number * value for number, value in pairs) / sum(number for number, _ in pairs)
