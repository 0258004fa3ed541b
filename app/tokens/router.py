"""Routes of tokens."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.access import Right, Role
from app.caller import Asking, GuardedRoute, needs
from app.db.engine import Transaction
from app.fields import Page, page_of
from app.parameters import Cursor, Limit, PathId
from app.tokens import service
from app.tokens.schemas import NewToken, Token, TokenCreate

router = APIRouter(
    route_class=GuardedRoute, prefix="/tokens", tags=["tokens"], dependencies=[needs(Right.TOKENS)]
)


@router.post("", status_code=201, summary="Make a token")
async def create(asked: TokenCreate, connection: Transaction, caller: Asking) -> NewToken:
    """`token` is shown this once; only its digest is kept.

    A `join` token lives 24 hours unless `expires_at` says otherwise, at most 30 days.
    """
    return await service.create(connection, asked, caller)


@router.get("", summary="List tokens, by id")
async def page(
    connection: Transaction,
    role: Annotated[Role | None, Query(description="Only tokens of this role")] = None,
    limit: Limit = 100,
    cursor: Cursor = 0,
) -> Page[Token]:
    """Those that ended too; `valid` tells. The tokens themselves are not kept anywhere."""
    return page_of(await service.page(connection, role, cursor, limit + 1), limit)


@router.delete("/{token_id}", status_code=204, summary="Revoke a token")
async def revoke(token_id: PathId, connection: Transaction, caller: Asking) -> None:
    """It takes effect at once, a poll that waits included. 204 as well where it had ended."""
    await service.revoke(connection, token_id, caller)
