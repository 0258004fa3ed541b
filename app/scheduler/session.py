"""The session of the desk, in which a cycle is two messages: `begin` and `write`.

Each calls a function that is the session's own. The one takes the farm lock and reads what is new,
the other writes all of the cycle and commits. What else is read, is read between them.
"""

from collections.abc import Sequence

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

# Whoever holds the lock holds it for the session, from one message to the other. The server throws
# out who is silent meanwhile, which would have all others wait. Where the function fails nothing of
# the session's is left of it: the lock is the transaction's until all else is done.
_BEGIN_CYCLE = f"""
CREATE OR REPLACE FUNCTION pg_temp.begin_cycle(bigint, bigint[], bigint) RETURNS TABLE (
    snapshot text, server text, revision text, since bigint, everything boolean,
    queues bigint[], jobs bigint[], agents uuid[], tokens bigint[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK});
    RETURN QUERY {feed.READ};  -- a statement of its own, which sees what was done before the lock
    PERFORM pg_advisory_lock({LOCK}), set_config('idle_session_timeout', '{SILENT_HOLDER}', false);
END $$
"""

# The lock is the transaction's now, so that the commit is what lets it go. That does not wait for
# the disk: of the transaction, so that no pooler gives it to others. So is that the feed is told of
# all here, at once: triggers that would tell of each statement by itself are silent.
_WRITE_CYCLE = f"""
CREATE OR REPLACE FUNCTION pg_temp.write_cycle(
    text, text, text, text, text, text, text, text, text, text, text, text, text,
    text, text, text, text, text, text, text, text[]
) RETURNS TABLE (now timestamptz, transaction bigint, id bigint, attempts int[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock({LOCK}),
        set_config('idle_session_timeout', '0', false), set_config('farmqueue.cycle', 'told', true);
    IF NOT pg_advisory_unlock({LOCK}) THEN
        RAISE 'the session does not hold the farm lock: is it one for all statements?';
    END IF;
    IF cardinality($21) > 0 THEN {store.REPORT}; END IF;
    RETURN QUERY {store.DECIDE};
    {store.TELL};
    IF FOUND THEN
        PERFORM pg_notify('{CHANNEL}', coalesce(current_setting('farmqueue.sender', true), ''));
    END IF;
END $$
"""

_FUNCTIONS = f"{_BEGIN_CYCLE}; {_WRITE_CYCLE}"
_BEGIN = "SELECT * FROM pg_temp.begin_cycle($1, $2, $3)"
_VALUES = ", ".join(f"${number}" for number in range(1, 22))
_WRITE = f"SELECT * FROM pg_temp.write_cycle({_VALUES})"  # noqa: S608  # of constants
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


async def begin(connection: asyncpg.Connection, last: feed.Seen) -> asyncpg.Record:
    """Take the farm-wide lock, which is held until `write` or `leave`; the feed since `last`."""
    return await connection.fetchrow(_BEGIN, *feed.since(last))


async def leave(connection: asyncpg.Connection) -> None:
    """Give up whatever was begun."""
    await connection.execute(_LEAVE)


async def write(
    connection: asyncpg.Connection,
    said: Sequence[store.Judged],
    grants: Sequence[store.Granted],
    alive: Sequence[store.Alive],
    jobs: Sequence[store.Numbers],
) -> store.Rows:
    """Write what was judged to count and what was decided; commit, and let the farm lock go.

    Returns a row for each assignment, in the order of `grants`: its id and the attempts of its
    tasks; one of nulls where there is none. In all of them stand the database's `now` and this
    `transaction`.
    """
    values = [*store.decided(grants, alive, jobs), *store.reported(said)]
    found: store.Rows = await connection.fetch(_WRITE, *values)
    return found
