"""Routes of agents at work."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.access import Right
from app.caller import Asking, GuardedRoute, needs
from app.db.engine import Transaction
from app.errors import responses
from app.parameters import PathId
from app.scheduler import service
from app.scheduler.desk import Desk
from app.scheduler.polls import SentAway
from app.scheduler.schemas import Assignment, AssignmentStatus, AssignRequest, ResultsReport

router = APIRouter(route_class=GuardedRoute, tags=["work"], dependencies=[needs(Right.WORK)])


async def the_desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


AtTheDesk = Annotated[Desk, Depends(the_desk)]


@router.post(
    "/assign",
    summary="Get the next work",
    response_model=None,
    responses={
        200: {"model": Assignment, "description": "Work for the agent"},
        204: {"description": "Nothing to run; with Retry-After: the service stops, ask then"},
        **responses(404, 409),
    },
)
async def assign(
    asked: AssignRequest, desk: AtTheDesk, request: Request, caller: Asking
) -> Assignment | Response:
    """Give the polling agent its next work, or 204 when there is none for it.

    An agent that holds an assignment gets that same one again. `wait` holds the request open until
    there is work. `results` reports the present assignment's tasks on the way: they count even
    where the answer is 204. 404: register the agent again. 409: it is disabled, or the reported
    assignment has ended and its work is to be dropped.
    """
    try:
        return await desk.ask(asked, caller, request.receive) or Response(status_code=204)
    except SentAway as away:
        return Response(status_code=204, headers=away.headers)


@router.post(
    "/assignments/{assignment_id}/results",
    summary="Report tasks",
    responses=responses(404, 409),
)
async def report(
    assignment_id: PathId, asked: ResultsReport, desk: AtTheDesk, caller: Asking
) -> AssignmentStatus:
    """Count each result once; the same again is a 200. It renews the lease as well.

    409: the assignment has ended (lease lost, task stopped), a task is not in it, or it was already
    reported otherwise. Nothing of the report counts then.
    """
    return await service.report(desk, assignment_id, asked.results, caller)


@router.post(
    "/assignments/{assignment_id}/release",
    summary="Give unfinished tasks back",
    responses=responses(404, 409),
)
async def release(
    assignment_id: PathId, connection: Transaction, caller: Asking
) -> AssignmentStatus:
    """They wait again at once, for any agent. 409 where the work was taken back before."""
    return await service.release(connection, assignment_id, caller)
