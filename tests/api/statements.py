"""What the service says to its database, in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI
from sqlalchemy import event

# What a process does for itself now and then.
OWN = ("SELECT EXISTS (SELECT FROM agents WHERE online", "farm_changes")


@contextmanager
def recorded(app: FastAPI) -> Iterator[list[str]]:
    """The statements of the requests made inside; those of the desk apart."""
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not any(own in statement for own in OWN):
            statements.append(statement)

    engine = app.state.engine.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


@contextmanager
def recorded_of_desk(app: FastAPI) -> Iterator[list[str]]:
    """The statements of the cycles run inside."""
    statements: list[str] = []

    def record(logged: asyncpg.connection.LoggedQuery) -> None:
        statements.append(logged.query)

    connection = app.state.desk._connection.sync_connection.connection.driver_connection
    connection.add_query_logger(record)
    try:
        yield statements
    finally:
        connection.remove_query_logger(record)


def place(statements: list[str], words: str) -> int:
    """Where the first statement with these words stands."""
    return next(index for index, statement in enumerate(statements) if words in statement)
