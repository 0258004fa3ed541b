"""Routes that say why."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.access import Right
from app.caller import Asking, GuardedRoute, needs
from app.db.engine import Transaction
from app.errors import responses
from app.explain import service
from app.explain.schemas import AgentExplanation, AssignmentExplanation, Explanation
from app.parameters import PathId
from app.scheduler.router import AtTheDesk

router = APIRouter(
    route_class=GuardedRoute,
    tags=["why"],
    dependencies=[needs(Right.READ)],
    responses=responses(404),
)

ThisAgent = Annotated[UUID | None, Query(description="Why not this agent; unset: why none")]


@router.get("/jobs/{job_id}/explain", summary="Why a job does not run")
async def job(
    job_id: PathId, desk: AtTheDesk, caller: Asking, agent_id: ThisAgent = None
) -> Explanation:
    """All that is in its way, the binding reason first, and the smallest change that would help.

    The walk shows each queue from the top: who could be chosen there, and by which rule the way to
    this job was passed over. It is of the agent asked for; else of one that is free and can do it;
    else of a busy one, as if it were free just now.
    """
    return await service.job(desk, caller, job_id, agent_id)


@router.get("/jobqueues/{jobqueue_id}/explain", summary="Why a queue gets no agent")
async def queue(
    jobqueue_id: PathId, desk: AtTheDesk, caller: Asking, agent_id: ThisAgent = None
) -> Explanation:
    """As for a job; where nothing in the queue can go out, what keeps the jobs in it."""
    return await service.queue(desk, caller, jobqueue_id, agent_id)


@router.get("/agents/{agent_id}/explain", summary="Why an agent is idle, or what it gets")
async def agent(agent_id: UUID, desk: AtTheDesk, caller: Asking) -> AgentExplanation:
    """What it works on; the job that it would get, with the walk; or what keeps it from each."""
    return await service.agent(desk, caller, agent_id)


@router.get("/assignments/{assignment_id}/explain", summary="Why an assignment was made")
async def assignment(assignment_id: PathId, connection: Transaction) -> AssignmentExplanation:
    """The walk of that moment: whose turn it was at each queue, and by which rule."""
    return await service.assignment(connection, assignment_id)
