"""Is the process alive, may it be given work, and its metrics."""

import asyncio
from contextlib import suppress

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.access import Right
from app.caller import needs
from app.db import schema
from app.db.blockers import sqlstate
from app.db.driver import AWAY
from app.db.engine import CONFIRM
from app.db.migrations import NOT_ALLOWED, told
from app.errors import Unavailable, responses

router = APIRouter(tags=["service"])

READY_SECONDS = 3

_COMPLETE = text("SELECT " + schema.MAKES_FUNCTIONS.format(role="current_user"))


class Health(BaseModel):
    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    status: str = Field(examples=["ready"])
    schema_revision: str = Field(examples=[schema.HEAD])


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
            found = await told(connection)
            complete = await connection.scalar(_COMPLETE)
    except DBAPIError as failed:
        raise Unavailable(_why(failed)) from failed
    except (SQLAlchemyError, OSError, TimeoutError) as away:
        raise Unavailable(f"the database cannot be reached: {type(away).__name__}") from away
    revision = schema.check(found)
    if not complete:
        raise Unavailable(schema.NO_FUNCTIONS)
    return Readiness(status="ready", schema_revision=revision)


def _why(failed: DBAPIError) -> str:
    if sqlstate(failed) == NOT_ALLOWED:
        return (
            "the service's role may not read the farm's tables: run `farmqueue migrate "
            "--service-role NAME` as their owner"
        )
    return f"the database cannot be reached: {type(failed).__name__}"


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    dependencies=[needs(Right.METRICS)],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text format"}},
)
async def prometheus(request: Request) -> Response:
    """Also where the database is away: then for the tokens that this process knows."""
    state = request.app.state
    with suppress(SQLAlchemyError, *AWAY):
        async with asyncio.timeout(READY_SECONDS), state.engine.connect() as connection:
            await request.scope[CONFIRM](connection)
    metrics.WAITING.set(state.desk.waiting)
    pool = state.engine.pool
    metrics.CONNECTIONS.set(pool.checkedout())
    metrics.POOL_SIZE.set(pool.size())
    parts = [generate_latest()]
    if state.settings.queue_metrics:
        parts += [part async for part in state.figures.text()]
    return Response(b"".join(parts), media_type=CONTENT_TYPE_LATEST)
