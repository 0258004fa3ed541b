"""Routes of the history."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.access import Right
from app.caller import GuardedRoute, needs
from app.db.engine import Transaction
from app.fields import Id, Page, page_of
from app.history import store
from app.history.schemas import Event
from app.parameters import Cursor, Limit

router = APIRouter(route_class=GuardedRoute, prefix="/history", tags=["history"])


@router.get("", summary="What happened, oldest first", dependencies=[needs(Right.READ)])
async def page(
    connection: Transaction,
    job_queue_id: Annotated[Id | None, Query(description="Only what happened to it")] = None,
    job_id: Annotated[Id | None, Query(description="Only what happened to it")] = None,
    agent_id: Annotated[UUID | None, Query(description="Only what happened to it")] = None,
    assignment_id: Annotated[Id | None, Query(description="Only what happened to it")] = None,
    limit: Limit = 100,
    cursor: Cursor = 0,
) -> Page[Event]:
    """Queues, jobs and agents that are gone keep their history."""
    asked = {
        "job_queue_id": job_queue_id,
        "job_id": job_id,
        "agent_id": agent_id,
        "assignment_id": assignment_id,
    }
    matching = {column: value for column, value in asked.items() if value is not None}
    rows = await store.page(connection, matching, cursor, limit + 1)
    return page_of([Event.model_validate(row) for row in rows], limit)
