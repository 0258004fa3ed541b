"""Tokens are made, listed and revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Role
from app.caller import Caller
from app.db.engine import lock_farm
from app.errors import Invalid
from app.history.store import record
from app.settings import Settings
from app.tokens import secret, store
from app.tokens.schemas import NewToken, Token, TokenCreate

JOIN_HOURS = 24
JOIN_DAYS = 30
DAY = 86_400.0


async def create(connection: AsyncConnection, asked: TokenCreate, caller: Caller) -> NewToken:
    values: dict[str, Any] = {
        "name": asked.name,
        "expires_at": await _expiry(connection, asked),
        "job_queue_id": asked.job_queue_id,
        "uses_left": asked.uses,
        "created_by": caller.actor,
    }
    token_id, token = await _make(connection, asked.role, values)
    detail = {"token_id": token_id, "role": asked.role, "name": asked.name}
    await record(connection, caller.actor, "token.created", detail=detail)
    return NewToken(**await store.get(connection, token_id), token=token)


async def for_agent(
    connection: AsyncConnection,
    agent_id: UUID,
    hostname: str,
    caller: Caller,
    settings: Settings,
) -> str:
    """A new token of the agent. Its other ones end: at once, or soon.

    Who comes with the agent's own token may have it in use still; who joins anew has lost it.
    """
    values = {
        "name": hostname,
        "agent_id": agent_id,
        "expires_at": await store.moment(connection, settings.agent_token_days * DAY),
        "created_by": caller.actor,
    }
    token_id, token = await _make(connection, Role.AGENT, values)
    if caller.agent_id is None:
        await store.revoke_of_agent(connection, agent_id, keep=token_id)
    else:
        overlap = settings.token_overlap_seconds
        await store.end_soon(connection, agent_id, token_id, overlap)
    return token


async def page(
    connection: AsyncConnection, role: Role | None, after: int, limit: int
) -> list[Token]:
    return [Token(**row) for row in await store.page(connection, role, after, limit)]


async def revoke(connection: AsyncConnection, token_id: int, caller: Caller) -> None:
    """End it at once; one that is not there has ended already.

    An agent's other tokens end with it. Under the farm lock, so that it cannot get a new one just
    then with the one that ends.
    """
    if await store.role_of(connection, token_id) == Role.AGENT:
        await lock_farm(connection)
    for gone in await store.revoke(connection, token_id):
        detail = {"token_id": gone["id"], "role": gone["role"], "name": gone["name"]}
        await record(connection, caller.actor, "token.revoked", detail=detail)


async def _make(connection: AsyncConnection, role: Role, values: dict[str, Any]) -> tuple[int, str]:
    token_id = await store.next_id(connection)
    token = secret.mint(role, token_id)
    made = {"id": token_id, "role": role, "digest": secret.digest(token)}
    await store.add(connection, values | made)
    return token_id, token


async def _expiry(connection: AsyncConnection, asked: TokenCreate) -> datetime | None:
    now = (await store.moment(connection, 0)).astimezone(UTC)
    if asked.expires_at is None:
        return now + timedelta(hours=JOIN_HOURS) if asked.role is Role.JOIN else None
    if asked.expires_at <= now:
        raise Invalid("must be in the future", field="expires_at")
    if asked.role is Role.JOIN and asked.expires_at > now + timedelta(days=JOIN_DAYS):
        raise Invalid(f"of a join token at most {JOIN_DAYS} days from now", field="expires_at")
    return asked.expires_at
