"""Is the process alive, may it be given work, and its metrics."""

import asyncio
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.access import Right
from app.caller import needs
from app.db.engine import AWAY, CONFIRM, HEAD, wrong_schema
from app.db.migrations import current
from app.errors import Unavailable, responses

router = APIRouter(tags=["service"])

READY_SECONDS = 3


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    status: str = Field(examples=["ready"])
    schema_revision: str = Field(examples=[HEAD])


@router.get("/healthz", summary="The process lives", responses=responses(503))
async def healthz(request: Request) -> Health:
    """503 when a part that must run for ever has stopped: restart the process then."""
    stopped = [task.get_name() for task in request.app.state.background if task.done()]
    if stopped:
        raise Unavailable(f"{', '.join(stopped)} stopped: restart this process")
    return Health(status="ok")


@router.get("/readyz", summary="Work can be given out", responses=responses(503))
async def readyz(request: Request) -> Readiness:
    """503, with the reason, when the database is away or its schema is another release's."""
    engine: AsyncEngine = request.app.state.engine
    try:
        async with asyncio.timeout(READY_SECONDS), engine.connect() as connection:
            found = await current(connection)
    except (SQLAlchemyError, OSError, TimeoutError) as away:
        raise Unavailable(f"the database cannot be reached: {type(away).__name__}") from away
    if found != HEAD:
        raise Unavailable(wrong_schema(found))
    return Readiness(status="ready", schema_revision=found)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    dependencies=[needs(Right.METRICS)],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}},
)
async def prometheus(request: Request) -> Response:
    """Also where the database is away: then for the tokens that this process knows."""
    with suppress(SQLAlchemyError, *AWAY):
        async with asyncio.timeout(READY_SECONDS), request.app.state.engine.connect() as connection:
            await request.scope[CONFIRM](connection)
    metrics.WAITING.set(request.app.state.desk.waiting)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
