"""The feed of changes: which queues, jobs, agents and tokens changed since this process last read.

Triggers write the ids of what a transaction changed together with the transaction's own id; a cycle
does so itself, in one row, of assignments and the numbers of jobs. A reader remembers the snapshot
of its last read; whatever that snapshot did not show, and the present one does, is news: of
transactions that had not begun then, or were under way. Nothing is missed, nothing is read twice,
no writer waits for a reader, and a long transaction costs no reader more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import metrics
from app.db import schema

# How long changes are kept at least. Who has not read for longer reads the whole farm again.
KEPT_SECONDS = 60

# Transactions of another server, in a database restored from a dump, may be ahead of this one's:
# whatever is not below the end of the present snapshot never happened here.
READ = f"""
WITH present AS MATERIALIZED (
    SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS end_of
),
news AS MATERIALIZED (
    SELECT queues, jobs, agents, tokens FROM farm_changes
    WHERE (xid >= $1 OR xid = ANY($2::bigint[])) AND xid <> $3
        AND xid < (SELECT end_of FROM present)
)
SELECT CAST(pg_current_snapshot() AS text) AS snapshot,
    pg_postmaster_start_time() || ' ' || d.oid AS server,
    {schema.TOLD} AS revision,
    (SELECT since FROM farm_changes_kept, present WHERE since < end_of) AS since,
    EXISTS(SELECT FROM news WHERE num_nonnulls(queues, jobs, agents, tokens) = 0) AS everything,
    ARRAY(SELECT DISTINCT unnest(queues) FROM news) AS queues,
    ARRAY(SELECT DISTINCT unnest(jobs) FROM news) AS jobs,
    ARRAY(SELECT DISTINCT unnest(agents) FROM news) AS agents,
    ARRAY(SELECT DISTINCT unnest(tokens) FROM news) AS tokens
FROM pg_database d WHERE d.datname = current_database()
"""  # noqa: S608  # of constants

# What was the newest a while ago is the oldest that is kept from now on.
_MOVE = text("""
UPDATE farm_changes_kept SET since = next, moved_at = clock_timestamp(),
    next = CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
WHERE moved_at < clock_timestamp() - make_interval(secs => :seconds)
RETURNING since
""")
_FORGET = text("""
DELETE FROM farm_changes WHERE xid < :since
    OR xid >= CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)
""")


class Outdated(Exception):
    """The feed cannot tell what happened since: too long ago, too much, or on another server."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a reader is: the snapshot of its last read, and its own last transaction since.

    `server` tells one start of a server, and one database of it, from all others; `revision` is of
    its schema.
    """

    snapshot: str
    server: str
    revision: str
    own: int = 0
    at: float = field(default_factory=time, compare=False)

    @property
    def oldest(self) -> int:
        """The first transaction that was not over then."""
        return int(self.snapshot.split(":")[0])

    @property
    def end(self) -> int:
        """The first transaction that had not begun then."""
        return int(self.snapshot.split(":")[1])

    @property
    def under_way(self) -> list[int]:
        """Transactions that had begun and were not over."""
        listed = self.snapshot.split(":")[2]
        return [int(xid) for xid in listed.split(",")] if listed else []


@dataclass(frozen=True, slots=True)
class News:
    """Ids of what others changed, and how far the reader is by them."""

    seen: Seen
    queues: Sequence[int]
    jobs: Sequence[int]
    agents: Sequence[UUID]
    tokens: Sequence[int]

    def __bool__(self) -> bool:
        return any((self.queues, self.jobs, self.agents, self.tokens))


async def start(connection: asyncpg.Connection) -> Seen:
    """Begin to read from what the present snapshot shows."""
    row = await connection.fetchrow(READ, 2**63 - 1, [], 0)
    schema.check(row["revision"])
    return Seen(row["snapshot"], row["server"], row["revision"])


async def read(connection: asyncpg.Connection, last: Seen) -> asyncpg.Record:
    """A row of what is new, for `news`."""
    return await connection.fetchrow(READ, *since(last))


def since(last: Seen) -> tuple[int, Sequence[int], int]:
    """The values of `READ`."""
    return last.end, last.under_way, last.own


def news(row: Mapping[str, Any], last: Seen) -> News:
    """What is new. Raises `Outdated`, and `Unavailable` where the schema is another release's."""
    schema.check(row["revision"])
    too_late = row["since"] is not None and row["since"] > last.oldest
    if row["everything"] or row["server"] != last.server or too_late:
        raise Outdated
    seen = Seen(row["snapshot"], row["server"], row["revision"])
    found = News(seen, row["queues"], row["jobs"], row["agents"], row["tokens"])
    metrics.FEED_READ.set(seen.at)
    metrics.FEED_LAG.set(seen.at - last.at)
    metrics.FEED_NEWS.set(len(found.queues) + len(found.jobs) + len(found.agents))
    return found


async def forget_old(connection: AsyncConnection) -> None:
    """Delete changes that every reader has seen, or is too late for."""
    since = await connection.scalar(_MOVE, {"seconds": KEPT_SECONDS})
    if since is not None:
        await connection.execute(_FORGET, {"since": since})
