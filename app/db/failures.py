"""What the database's failures mean: whether the same may succeed later."""

import asyncpg
from sqlalchemy.exc import DBAPIError

# Connection lost or refused, transaction to be retried, lock not to be had, server going or too
# busy, a session that was silent in its transaction for too long, a server that takes no writes
# just now; a table or column that is not there yet: the schema has to be migrated.
PASSING_SQLSTATES = (
    *("08", "25006", "25P03", "28", "3D000", "40", "53", "55", "57"),
    *("42P01", "42703"),
)

# Of two transactions that met, the one that the server ended: all of it is undone.
CLASHED_SQLSTATES = ("40001", "40P01")


def first_line(failed: Exception) -> str:
    """What went wrong, for a log: what comes after may tell what somebody sent."""
    return str(failed).split("\n")[0] or type(failed).__name__


def clashed(failed: Exception) -> bool:
    """Whether the server ended the transaction for another's sake, with all of it undone."""
    return _sqlstate(_cause(failed)).startswith(CLASHED_SQLSTATES)


def _cause(failed: Exception) -> BaseException:
    return failed.orig if isinstance(failed, DBAPIError) and failed.orig else failed


def _sqlstate(cause: BaseException) -> str:
    return getattr(cause, "sqlstate", None) or ""


def passing(failed: Exception) -> bool:
    """Whether the same statement may succeed later."""
    cause = _cause(failed)
    if isinstance(failed, DBAPIError) and failed.connection_invalidated:
        return True
    if isinstance(cause.__cause__, OSError) or _of_connection(cause.__cause__):
        return True
    if isinstance(failed, DBAPIError | asyncpg.PostgresError):
        return _sqlstate(cause).startswith(PASSING_SQLSTATES)
    return True


def _of_connection(cause: BaseException | None) -> bool:
    """Whether the driver says that a connection cannot be used; our own faults are of values.

    Or that none is to be had: while a standby is not promoted yet, no server takes writes. Or that
    it was cut between two messages, of which the driver makes a fault of its own.
    """
    if isinstance(cause, asyncpg.TargetServerAttributeNotMatched | asyncpg.InternalClientError):
        return True
    return isinstance(cause, asyncpg.InterfaceError) and not isinstance(cause, ValueError)
