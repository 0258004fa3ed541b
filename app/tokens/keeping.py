"""What is written of tokens now and then, never in the way of a request."""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.driver import AWAY
from app.tokens import store
from app.tokens.known import Known

log = structlog.get_logger()

ROUND_SECONDS = 60


async def note_for_ever(engine: AsyncEngine, known: Known, *, warn: bool) -> None:
    """Note when tokens were last used; `warn` when nobody could be an admin."""
    while True:
        try:
            if warn:
                await warn_without_admin(engine)
                warn = False
            await note(engine, known)
        except (SQLAlchemyError, *AWAY) as failed:
            log.warning("tokens_not_noted", error=str(failed).split("\n")[0])
        await asyncio.sleep(ROUND_SECONDS)


async def note(engine: AsyncEngine, known: Known) -> None:
    used = known.take_used()
    async with engine.begin() as connection:
        if used:
            await store.used(connection, list(used))
        await store.forget_ended(connection)


async def warn_without_admin(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        if not await store.any_admin(connection):
            log.warning(
                "no_admin_token",
                advice="nobody can make tokens: set FARMQUEUE_ADMIN_TOKEN (openssl rand -hex 32)",
            )
