"""What the database's failures mean: whether the same may succeed later."""

import asyncpg
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

# Connection lost or refused, transaction to be retried, lock not to be had, server going or too
# busy, a session that was silent in its transaction for too long, a server that takes no writes
# just now; a table or column that is not there yet: the schema has to be migrated.
PASSING_SQLSTATES = (
    *("08", "25006", "25P03", "28", "3D000", "40", "53", "55", "57"),
    *("42P01", "42703"),
)

# What the driver says of a connection that is closed or was cut; it has no classes for it. Whatever
# else it complains of, such as a connection that is used twice at once, is a fault of ours.
_LOST = ("connection is closed", 'protocol is in the "failed" state', "not connected")

# SQLAlchemy's code of a transaction whose connection was lost; another is of a flush that failed.
_LOST_IN_TRANSACTION = "8s2b"

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
    if isinstance(failed, PendingRollbackError):
        return failed.code == _LOST_IN_TRANSACTION
    if isinstance(failed, DBAPIError) and failed.connection_invalidated:
        return True
    if isinstance(failed, OSError | PoolTimeout):
        return True
    cause = _cause(failed)
    by_driver = cause.__cause__
    if isinstance(by_driver, OSError) or _of_connection(cause) or _of_connection(by_driver):
        return True
    return _sqlstate(cause).startswith(PASSING_SQLSTATES)


def _of_connection(cause: BaseException | None) -> bool:
    """Whether the driver says that a connection, or what it knew of the schema, is of no use now.

    Or that none is to be had: while a standby is not promoted yet, no server takes writes. What it
    says of values repeats them, and they may be any words.
    """
    if isinstance(cause, ValueError):
        return False
    if isinstance(
        cause, asyncpg.TargetServerAttributeNotMatched | asyncpg.OutdatedSchemaCacheError
    ):
        return True
    driver_s = isinstance(cause, asyncpg.InterfaceError | asyncpg.InternalClientError)
    return driver_s and any(words in str(cause) for words in _LOST)
