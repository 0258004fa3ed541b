"""The farm as it is now, read in one snapshot: nothing waits for it, and it changes nothing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import exp
from typing import Any

import asyncpg

from app.db.engine import connect
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
    """The live farm. `spread` is that of task times of which too few were measured."""
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
            picture = await _rows(connection)
            await _measure(connection, picture, spread)
    finally:
        connection.terminate()
    return picture


async def _rows(connection: asyncpg.Connection) -> Picture:
    picture = Picture()
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
        back = row["free_ram"] + picture.jobs[row["job_id"]]["ram"]
        row["free_ram"] = max(row["free_ram"], min(row["ram"], back))
    return row


async def _measure(connection: asyncpg.Connection, picture: Picture, spread: float) -> None:
    """Task times of jobs; where a job has none, of its queue's jobs, those that are over too."""
    begun = [row["id"] for row in picture.jobs.values() if row["tasks_done"]]
    measured = await store.measured(connection, begun, TASKS)
    picture.models = {row["id"]: _model([row], spread) for row in measured}
    unknown = {
        row["job_queue_id"] for row in picture.jobs.values() if row["id"] not in picture.models
    }
    by_queue: dict[int | None, list[Any]] = defaultdict(list)
    for row in measured:
        by_queue[picture.jobs[row["id"]]["job_queue_id"]].append(row)
    over = {
        row["id"]: row["job_queue_id"]
        for row in await store.jobs_over(connection, sorted(unknown, key=str), JOBS_OVER)
    }
    for row in await store.measured(connection, list(over), TASKS_OVER):
        by_queue[over[row["id"]]].append(row)
    picture.queue_models = {queue_id: _model(rows, spread) for queue_id, rows in by_queue.items()}


def _model(rows: Sequence[Any], spread: float) -> Model:
    """One for all of them: the spread within each, and between them."""
    number = sum(row["number"] for row in rows)
    mu = sum(row["mu"] * row["number"] for row in rows) / number
    if number < FEW:
        return Model.of(exp(mu), spread)
    square = _mean((row["number"], row["sigma"] ** 2 + (row["mu"] - mu) ** 2) for row in rows)
    return Model(mu, square**0.5)


def _mean(weighed: Iterable[tuple[int, float]]) -> float:
    pairs = list(weighed)
    return sum(number * value for number, value in pairs) / sum(number for number, _ in pairs)
