"""What the service says to its database, in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import event


@contextmanager
def recorded(app: FastAPI) -> Iterator[list[str]]:
    """The statements of the requests made inside, the lookout for silent agents left out."""
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "SELECT EXISTS (SELECT FROM agents WHERE online" not in statement:
            statements.append(statement)

    engine = app.state.engine.sync_engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)


def place(statements: list[str], words: str) -> int:
    """Where the first statement with these words stands."""
    return next(index for index, statement in enumerate(statements) if words in statement)
