"""How long things are kept: each day of the history, and assignments by the day they ended.

Once a minute one of the replicas makes the partitions of the days to come, drops those that are
too old, and deletes assignments that ended as long ago. Nobody waits for it: it gives up on a lock
soon, says so in the log, and tries again the next minute.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import asyncpg
import structlog

from app import metrics
from app.db import schema
from app.db.driver import AWAY, connect
from app.db.roles import KEEPING_LOCK
from app.errors import AppError
from app.settings import Settings

log = structlog.get_logger()

ROUND_SECONDS = 60
# Between two rounds of which the first had more to delete than one may.
BUSY_SECONDS = 1
CONNECT_SECONDS = 10
# A database that is gone without a word does not hold the keeper for ever.
COMMAND_SECONDS = 70
AHEAD_DAYS = 7
ASSIGNMENTS_A_ROUND = 10_000

LOCK_TIMEOUT = "1s"
STATEMENT_TIMEOUT = "60s"
# What is attached is checked against all rows of the default partition: nobody reads it meanwhile.
ATTACH_TIMEOUT = "10s"
# To drop a partition excludes everybody from the history, and all who come later wait behind it.
# Transactions of the farm end sooner; behind a longer one, such as a dump, it is of no use to wait.
DROP_LOCK_TIMEOUT = "200ms"

FAILURES = (*AWAY, AppError)

_TURN = f"SELECT {schema.TOLD}, pg_try_advisory_xact_lock($1) AS mine"

_TODAY = "SELECT CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)"

# The catalogue has the bounds as text only. The default partition has none, the former whole table
# no lower one.
_PARTITIONS = r"""
SELECT c.relname AS name,
    CAST(substring(b.bounds FROM 'FROM \(''([^'']+)''\)') AS timestamptz) AS since,
    CAST(substring(b.bounds FROM 'TO \(''([^'']+)''\)') AS timestamptz) AS until
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid,
    LATERAL pg_get_expr(c.relpartbound, c.oid) AS b(bounds)
WHERE i.inhparent = CAST('history' AS regclass)
ORDER BY until, name
"""

# As the owner of the tables: the service may run as a role that makes and drops none.
_MAKE = "SELECT make_history_day($1)"
_DROP = "SELECT drop_history_part($1)"
_RENEW_DEFAULT = "SELECT renew_history_default($1)"

# From the lowest id on, so that no index on the time is needed and no round looks further. Those
# that stay among them are active for longer than others are kept: fewer than there are agents.
_FORGET_ASSIGNMENTS = """
WITH lowest AS MATERIALIZED (
    SELECT id, ended_at FROM assignments ORDER BY id LIMIT $2
)
DELETE FROM assignments a USING lowest l WHERE a.id = l.id AND l.ended_at < $1
"""

_FORGET_KEYS = """
DELETE FROM idempotency_keys WHERE made_at < clock_timestamp() - interval '24 hours'
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of the history: rows from `since` on and before `until`, None where it has no end."""

    name: str
    since: datetime | None
    until: datetime | None

    def has(self, moment: datetime) -> bool:
        """Whether it is the one for this moment; the default partition is for none."""
        if self.until is None:
            return False
        return (self.since is None or self.since <= moment) and moment < self.until


async def keep_for_ever(url: str, settings: Settings) -> None:
    while True:
        more = False
        try:
            async with keeper(url) as connection:
                more = await keep(connection, settings.history_days)
        except FAILURES as failed:
            _warn("connect", failed)
        await asyncio.sleep(BUSY_SECONDS if more else ROUND_SECONDS)


@asynccontextmanager
async def keeper(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of its own, so that no request waits for one that the keeper has."""
    connection = await connect(
        url,
        timeout=CONNECT_SECONDS,
        command_timeout=COMMAND_SECONDS,
        server_settings={
            "application_name": "farmqueue keeper",
            "lock_timeout": LOCK_TIMEOUT,
            "statement_timeout": STATEMENT_TIMEOUT,
            "timezone": "UTC",
        },
    )
    try:
        yield connection
    finally:
        connection.terminate()


async def keep(connection: asyncpg.Connection, days: int, today: date | None = None) -> bool:
    """One round, which keeps `days` whole days before `today` (0: all); whether more is to be done.

    What fails is in the log, and hinders nothing else.
    """
    today = today or await connection.fetchval(_TODAY)
    done = [
        await _tried("make", lambda: _make_ahead(connection, today)),
        await _tried("keys", lambda: _forget_keys(connection)),
    ]
    if days > 0:
        before = midnight(today - timedelta(days=days))
        done.append(await _tried("drop", lambda: _drop_old(connection, before)))
        done.append(await _tried("forget", lambda: _forget_assignments(connection, before)))
    if None not in done:
        metrics.KEPT.set_to_current_time()
    return days > 0 and bool(done[-1])


def midnight(day: date) -> datetime:
    """When a day begins."""
    return datetime.combine(day, time(), UTC)


async def _tried(step: str, work: Callable[[], Awaitable[bool]]) -> bool | None:
    """What the step came to; None where it failed."""
    try:
        return await work()
    except FAILURES as failed:
        _warn(step, failed)
        return None


def _warn(step: str, failed: BaseException) -> None:
    error = str(failed).split("\n")[0] or type(failed).__name__
    log.warning("keeper_failed", step=step, error=error)


@asynccontextmanager
async def _turn(connection: asyncpg.Connection) -> AsyncIterator[bool]:
    """A transaction, and whether it is this replica's turn: no other one is at it."""
    async with connection.transaction():
        found, mine = await connection.fetchrow(_TURN, KEEPING_LOCK)
        schema.check(found)
        yield mine


async def _partitions(connection: asyncpg.Connection) -> list[Partition]:
    return [Partition(**row) for row in await connection.fetch(_PARTITIONS)]


async def _make_ahead(connection: asyncpg.Connection, today: date) -> bool:
    """Make what is missing of today and the days to come, each day in a transaction of its own."""
    there = await _partitions(connection)
    made = False
    for ahead in range(AHEAD_DAYS + 1):
        day = today + timedelta(days=ahead)
        if not any(partition.has(midnight(day)) for partition in there):
            async with _turn(connection) as mine:
                made |= mine and await _make(connection, day)
    return made


async def _make(connection: asyncpg.Connection, day: date) -> bool:
    await connection.execute(f"SET LOCAL statement_timeout = '{ATTACH_TIMEOUT}'")
    made = bool(await connection.fetchval(_MAKE, day))
    if not made:
        log.warning("history_day_in_default", day=day.isoformat())
    return made


async def _drop_old(connection: asyncpg.Connection, before: datetime) -> bool:
    """Drop what is of days before `before` alone, each partition in a transaction of its own."""
    gone = False
    for partition in await _partitions(connection):
        if partition.until is not None and partition.until <= before:
            gone |= await _exclusively(connection, _DROP, partition.name)
    return await _exclusively(connection, _RENEW_DEFAULT, before) or gone


async def _exclusively(connection: asyncpg.Connection, statement: str, value: object) -> bool:
    """What the statement says; False where it is another replica's turn."""
    async with _turn(connection) as mine:
        if not mine:
            return False
        await connection.execute(f"SET LOCAL lock_timeout = '{DROP_LOCK_TIMEOUT}'")
        return bool(await connection.fetchval(statement, value))


async def _forget_assignments(connection: asyncpg.Connection, before: datetime) -> bool:
    """Delete what ended before `before`; whether there may be more."""
    async with _turn(connection) as mine:
        if not mine:
            return False
        tag = await connection.execute(_FORGET_ASSIGNMENTS, before, ASSIGNMENTS_A_ROUND)
    return str(tag) != "DELETE 0"


async def _forget_keys(connection: asyncpg.Connection) -> bool:
    """Submissions are recognised for a day."""
    await connection.execute(_FORGET_KEYS)
    return False
