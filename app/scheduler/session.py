"""The session of the desk, in which a cycle is one message, or two where something is new.

Each calls a function that is the session's own. `write_unless_news` takes the farm lock, and writes
all of the cycle and commits if nothing is new. Where something is, or is to be expected (`begin`),
the lock is kept and what is new told; `write` is the other message then. What else is read, is read
between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.db import schema
from app.db.driver import FARM_LOCK, SILENT_HOLDER
from app.db.engine import CHANNEL
from app.errors import Unavailable
from app.scheduler import feed, store

LOCK = FARM_LOCK

_FOR_FEW = "SET plan_cache_mode = force_generic_plan; " + "; ".join(
    f"SET {plan} = off" for plan in store.PLANS
)

_SINCE = "bigint, bigint[], bigint"
_FEED = """snapshot text, server text, revision text, since bigint, everything boolean,
    queues bigint[], jobs bigint[], agents uuid[], tokens bigint[]"""
_VALUES = f"{', '.join(['text'] * 20)}, text[]"
_WRITTEN = "now timestamptz, transaction bigint, id bigint, attempts int[]"


def _function(name: str, takes: str, gives: str, body: str) -> str:
    return f"""
CREATE OR REPLACE FUNCTION pg_temp.{name}({takes}) RETURNS TABLE ({gives}) LANGUAGE plpgsql AS $$
#variable_conflict use_column
{body} $$
"""


def _call(name: str, first: int, last: int) -> str:
    values = ", ".join(f"${number}" for number in range(first, last + 1))
    return f"pg_temp.{name}({values})"


_READ_FEED = _function("read_feed", _SINCE, _FEED, f"BEGIN RETURN QUERY {feed.READ}; END")

# The commit does not wait for the disk: of the transaction, so that no pooler gives it to others.
# So is that the feed is told of all here, at once: triggers that would tell of each statement by
# itself are silent.
_WRITE_ALL = _function(
    "write_all",
    _VALUES,
    _WRITTEN,
    f"""
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true),
        set_config('farmqueue.cycle', 'told', true);
    IF cardinality($21) > 0 THEN {store.REPORT}; END IF;
    RETURN QUERY {store.DECIDE};
    {store.TELL};
    IF FOUND THEN
        PERFORM pg_notify('{CHANNEL}', coalesce(current_setting('farmqueue.sender', true), ''));
    END IF;
END""",
)

# Whoever holds the lock holds it for the session, from one message to the other. The server throws
# out who is silent meanwhile, which would have all others wait. Where a function fails nothing of
# the session's is left of it: the lock is the transaction's until all else is done.
_KEEP_LOCK = f"""
    PERFORM pg_advisory_lock({LOCK}), set_config('idle_session_timeout', '{SILENT_HOLDER}', false)
"""

# What is new is read by a statement of its own, which sees what was done before the lock.
_BEGIN_CYCLE = _function(
    "begin_cycle",
    _SINCE,
    _FEED,
    f"""
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK});
    RETURN QUERY SELECT * FROM {_call("read_feed", 1, 3)};
    {_KEEP_LOCK};
END""",  # noqa: S608  # of constants
)

# The lock is the transaction's now, so that the commit is what lets it go.
_WRITE_CYCLE = _function(
    "write_cycle",
    _VALUES,
    _WRITTEN,
    f"""
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK}), set_config('idle_session_timeout', '0', false);
    IF NOT pg_advisory_unlock({LOCK}) THEN
        RAISE 'the session does not hold the farm lock: is it one for all statements?';
    END IF;
    RETURN QUERY SELECT * FROM {_call("write_all", 1, 21)};
END""",  # noqa: S608  # of constants
)

# First a row of the feed, then those of what was written.
_WHOLE_CYCLE = _function(
    "whole_cycle",
    f"{_SINCE}, bigint, text, text, {_VALUES}",
    f"{_FEED}, {_WRITTEN}",
    f"""
DECLARE
    new record;
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK});
    SELECT * INTO STRICT new FROM {_call("read_feed", 1, 3)};
    RETURN QUERY SELECT new.snapshot, new.server, new.revision, new.since, new.everything,
        new.queues, new.jobs, new.agents, new.tokens,
        CAST(NULL AS timestamptz), CAST(NULL AS bigint), CAST(NULL AS bigint), CAST(NULL AS int[]);
    IF new.since > $4 OR new.server <> $5 OR new.revision IS DISTINCT FROM $6 OR new.everything OR
        new.queues <> '{{}}' OR new.jobs <> '{{}}' OR new.agents <> '{{}}' OR new.tokens <> '{{}}'
    THEN {_KEEP_LOCK};
    ELSE
        RETURN QUERY SELECT NULL, NULL, NULL, CAST(NULL AS bigint), CAST(NULL AS boolean),
            CAST(NULL AS bigint[]), CAST(NULL AS bigint[]), CAST(NULL AS uuid[]),
            CAST(NULL AS bigint[]), * FROM {_call("write_all", 7, 27)};
    END IF;
END""",  # noqa: S608  # of constants
)

_FUNCTIONS = f"{_READ_FEED};{_WRITE_ALL};{_BEGIN_CYCLE};{_WRITE_CYCLE};{_WHOLE_CYCLE}"
_BEGIN = f"SELECT * FROM {_call('begin_cycle', 1, 3)}"  # noqa: S608  # of constants
_WRITE = f"SELECT * FROM {_call('write_cycle', 1, 21)}"  # noqa: S608
_WHOLE = f"SELECT * FROM {_call('whole_cycle', 1, 27)}"  # noqa: S608
# What is new and the jobs of it, as one snapshot shows them.
_LOOK = f"""
WITH news AS MATERIALIZED ({feed.READ})
SELECT news.*, (
    SELECT CAST(json_agg(found) AS text) FROM ({store.JOBS_OF.replace("$1", "news.jobs")}) found
) AS found
FROM news
"""  # noqa: S608
_LEAVE = "ROLLBACK; SELECT pg_advisory_unlock_all(), set_config('idle_session_timeout', '0', false)"


async def prepare(connection: asyncpg.Connection, sender: str) -> None:
    """Make a connection ready for cycles; its changes are those of `sender`.

    Their statements are planned once, for few rows that are found by their keys: a plan made while
    a table is small would read the whole of it for long after it has grown. Raises `Unavailable`,
    with what to do, where the role lacks a right.
    """
    try:
        await connection.execute(f"{_FOR_FEW}; {_FUNCTIONS}")
    except asyncpg.InsufficientPrivilegeError as refused:
        raise Unavailable(schema.NO_FUNCTIONS) from refused
    await connection.execute("SELECT set_config('farmqueue.sender', $1, false)", sender)


@dataclass(frozen=True, slots=True)
class Written:
    """What is to be written: reports that count, new assignments, leases, numbers of jobs."""

    said: Sequence[store.Judged] = ()
    grants: Sequence[store.Granted] = ()
    alive: Sequence[store.Alive] = ()
    jobs: Sequence[store.Numbers] = ()

    @property
    def values(self) -> list[Any]:
        return [
            *store.decided(self.grants, self.alive, self.jobs),
            *store.reported(self.said),
        ]


async def look(connection: asyncpg.Connection, last: feed.Seen) -> asyncpg.Record:
    """The feed since `last`, with no lock; in `found` its jobs as JSON, each as of `store.jobs`."""
    return await connection.fetchrow(_LOOK, *feed.since(last))


async def begin(connection: asyncpg.Connection, last: feed.Seen) -> asyncpg.Record:
    """Take the farm-wide lock, which is held until `write` or `leave`; the feed since `last`."""
    return await connection.fetchrow(_BEGIN, *feed.since(last))


async def leave(connection: asyncpg.Connection) -> None:
    """Give up whatever was begun."""
    await connection.execute(_LEAVE)


async def write(connection: asyncpg.Connection, what: Written) -> store.Rows:
    """Write it and commit; the farm lock is let go.

    Returns a row for each assignment, in the order of `grants`: its id and the attempts of its
    tasks; one of nulls where there is none. In all of them stand the database's `now` and this
    `transaction`.
    """
    found: store.Rows = await connection.fetch(_WRITE, *what.values)
    return found


async def write_unless_news(
    connection: asyncpg.Connection, last: feed.Seen, what: Written
) -> tuple[asyncpg.Record, store.Rows]:
    """Take the farm-wide lock; the feed since `last`, and what `write` returns if nothing is new.

    Else nothing is written, there are no such rows, and the lock is held as after `begin`.
    """
    known = last.oldest, last.server, last.revision
    new, *rows = await connection.fetch(_WHOLE, *feed.since(last), *known, *what.values)
    return new, rows
