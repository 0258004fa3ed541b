"""A submission with an `Idempotency-Key`: however often it is sent, it is done once."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Header
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.errors import Invalid, Unavailable

MAX_KEY = 255

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY,
        pattern="^[!-~]+$",
        description="Of your choice, new for each submission: sent again within 24 hours with the"
        " same body, it gets the answer of the first time and nothing is submitted twice",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]

Answer = TypeVar("Answer", bound=BaseModel)

# Of two at once the second waits here until the first has ended, and finds its row, or none.
_TAKE = text("""
INSERT INTO idempotency_keys (caller, key, digest) VALUES (:caller, :key, :digest)
ON CONFLICT DO NOTHING RETURNING key
""")
_FIND = text("SELECT digest, answer FROM idempotency_keys WHERE caller = :caller AND key = :key")
_KEEP = text("UPDATE idempotency_keys SET answer = :answer WHERE caller = :caller AND key = :key")


class KeyReused(Invalid):
    """The key came before with another body."""

    code = "idempotency_key_reused"


async def once(
    connection: AsyncConnection,
    key: str | None,
    caller: Caller,
    asked: BaseModel,
    kind: type[Answer],
    work: Callable[[], Awaitable[Answer]],
) -> Answer:
    """The answer of `work`, or the one that it gave to the same key and body before.

    Key, answer and work are stored in one transaction: all of it or none.
    """
    if key is None:
        return await work()
    mine = {"caller": _whose(caller), "key": key}
    digest = _digest(asked)
    if await connection.scalar(_TAKE, mine | {"digest": digest}) is None:
        found = (await connection.execute(_FIND, mine)).mappings().one_or_none()
        if found is None:
            raise Unavailable("the key was just let go after its 24 hours: try again")
        if found["digest"] != digest:
            raise KeyReused("this Idempotency-Key came with another body before: make a new one")
        return kind.model_validate_json(found["answer"])
    answer = await work()
    await connection.execute(_KEEP, mine | {"answer": answer.model_dump_json()})
    return answer


def _whose(caller: Caller) -> str:
    """Keys of one token are nobody else's."""
    return "environment" if caller.token_id is None else str(caller.token_id)


def _digest(asked: BaseModel) -> str:
    """The same for bodies that mean the same, whatever their spaces and the order of fields."""
    told = f"{type(asked).__name__} {asked.model_dump_json()}"
    return hashlib.sha256(told.encode()).hexdigest()
