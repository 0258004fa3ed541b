"""Figures are written once a minute, by whichever replica is first, and added up to hours.

A minute has what its last moment was like, and what the history says was done in it. Minutes are
kept for two days, hours for forty.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.driver import AWAY
from app.errors import AppError
from app.figures import picture, store
from app.plan.entitlements import Entitlements
from app.policy.states import agent_state
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm

log = structlog.get_logger()

ROUND_SECONDS = 20

ADDED = ("tasks_done", "tasks_failed", "jobs_started", "wait_seconds")


async def keep_for_ever(engine: AsyncEngine, desk: Desk, entitlements: Entitlements) -> None:
    while True:
        await asyncio.sleep(ROUND_SECONDS)
        try:
            await keep(engine, desk, entitlements)
        except (SQLAlchemyError, AppError, *AWAY) as failed:
            log.warning("figures_not_kept", error=str(failed).split("\n")[0])


async def keep(engine: AsyncEngine, desk: Desk, entitlements: Entitlements) -> None:
    """Write the minute that is over, if nobody has, and the hour; let go what is too old."""
    kept = desk.kept
    if kept is None:
        return
    shares = entitlements.now()
    async with engine.begin() as connection:
        if not await store.is_mine(connection):
            return
        due = await store.due(connection)
        if due is not None:
            await _add_minute(connection, due, kept, shares)
        await _add_hour(connection)
        await store.forget_old(connection)


async def _add_minute(
    connection: AsyncConnection, due: RowMapping, kept: KeptFarm, shares: Mapping[int, int]
) -> None:
    until = due["until"] or 0
    since = until if due["since"] is None else due["since"]  # none before: it begins now
    told = await store.count(connection, due["at"], since, until)
    rows = await picture.queues(kept, shares, lambda _: 0.0)
    queues = {
        str(row.id): [row.assigned, row.entitled, row.waiting]
        for row in rows.values()
        if row.assigned or row.entitled or row.waiting
    }
    values = {"seconds": store.MINUTE, "at": due["at"], "history_id": until, **told}
    await store.add(connection, values | {"agents": _states(kept), "queues": queues})


def _states(kept: KeptFarm) -> dict[str, int]:
    """The agents by state; those that work among them once more."""
    states: dict[str, int] = defaultdict(int)
    for agent in kept.agents.values():
        states[agent_state(agent.mode, online=agent.online)] += 1
        states["working"] += agent.held is not None
    return dict(states)


async def _add_hour(connection: AsyncConnection) -> None:
    at = await store.hour_due(connection)
    if at is None:
        return
    sums = Sums()
    async for row in store.each(connection, store.MINUTE, at, at + timedelta(hours=1)):
        sums.add(row)
        await asyncio.sleep(0)  # agents are served between two rows
    await store.add(connection, {"seconds": store.HOUR, "at": at, **_as_stored(sums.told())})


Row = RowMapping | dict[str, Any]


@dataclass(slots=True)
class QueueSums:
    """Of one queue; where it is not told of there was nothing, where it is null it is not known."""

    numbers: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    unknown: list[int] = field(default_factory=lambda: [0, 0, 0])

    def add(self, numbers: Sequence[float | None]) -> None:
        for place, number in enumerate(numbers):
            if number is None:
                self.unknown[place] += 1
            else:
                self.numbers[place] += number

    def means(self, rows: int) -> list[float | None]:
        known = [rows - unknown for unknown in self.unknown]
        return [
            round(number / of, 2) if of else None
            for number, of in zip(self.numbers, known, strict=True)
        ]


class Sums:
    """Several rows as one: the mean of what was so, the sum of what was done."""

    def __init__(self) -> None:
        self._rows = 0
        self._agents: dict[str, float] = defaultdict(float)
        self._queues: dict[str, QueueSums] = defaultdict(QueueSums)
        self._others: dict[str, Any] = dict.fromkeys(ADDED, 0) | {"longest_wait": 0.0}

    def add(self, row: Row) -> None:
        self._rows += 1
        for state, number in row["agents"].items():
            self._agents[state] += number
        for queue_id, numbers in row["queues"].items():
            self._queues[queue_id].add(numbers)
        for name in ADDED:
            self._others[name] += row[name]
        self._others["longest_wait"] = max(self._others["longest_wait"], row["longest_wait"])
        self._others["history_id"] = row["history_id"]

    def told(self) -> dict[str, Any]:
        """A row; of one at least."""
        rows = self._rows
        return self._others | {
            "agents": {state: round(number / rows, 2) for state, number in self._agents.items()},
            "queues": {at: sums.means(rows) for at, sums in self._queues.items()},
        }


def together(rows: Iterable[Row]) -> dict[str, Any]:
    """The rows as one; there is one at least."""
    sums = Sums()
    for row in rows:
        sums.add(row)
    return sums.told()


def _as_stored(row: dict[str, Any]) -> dict[str, Any]:
    """Under the names that `store.add` takes."""
    names = {
        "tasks_done": "done",
        "tasks_failed": "failed",
        "jobs_started": "started",
        "wait_seconds": "waited",
        "longest_wait": "longest",
    }
    return {names.get(name, name): value for name, value in row.items()}
