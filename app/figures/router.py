"""The route of figures."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.access import Right
from app.caller import GuardedRoute, needs
from app.db.engine import Transaction
from app.fields import Fullpath
from app.figures import service
from app.figures.schemas import FarmFigures, Span

router = APIRouter(route_class=GuardedRoute, prefix="/history", tags=["history"])


@router.get("/figures", summary="What went on, in numbers", dependencies=[needs(Right.READ)])
async def figures(
    connection: Transaction,
    span: Annotated[Span, Query(description="How far back")] = Span.HOUR,
    queue: Annotated[
        Fullpath | None, Query(description="Of this queue and those right below it")
    ] = None,
) -> FarmFigures:
    """Agents of queues against what they were entitled to, tasks, waits, states of agents.

    A minute each for an hour, five for a day (kept for two days), an hour each for a month (kept
    for forty days). An unknown queue is a 422.
    """
    return await service.figures(connection, span, queue)
