"""The same done to many: each in a transaction of its own, so that no agent waits for all."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import transaction
from app.errors import AppError
from app.page.answers import changed

SHOWN = 3

Key = TypeVar("Key")

_transaction = asynccontextmanager(transaction)


async def each(
    request: Request,
    keys: Sequence[Key],
    work: Callable[[AsyncConnection, Key], Awaitable[object]],
    topic: str,
    done: str,
) -> Response:
    """Do it to each; who is refused is named with the reason. All refused: the first refusal."""
    refused: list[AppError] = []
    for key in keys:
        try:
            async with _transaction(request) as connection:
                await work(connection, key)
        except AppError as why:
            refused.append(why)
    if len(refused) == len(keys):
        raise refused[0]
    return changed(topic, _told(len(keys) - len(refused), done, refused))


def _told(number: int, done: str, refused: Sequence[AppError]) -> str:
    """As in: 3 jobs are paused; 2 refused: job 5 was submitted with another token."""
    told = done.format(
        number=number, s="" if number == 1 else "s", are="is" if number == 1 else "are"
    )
    if not refused:
        return told
    reasons = list(dict.fromkeys(why.detail for why in refused))
    more = "; …" if len(reasons) > SHOWN else ""
    return f"{told}; {len(refused)} refused: {'; '.join(reasons[:SHOWN])}{more}"
