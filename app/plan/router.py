"""Routes of the tree as a file."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from app.access import Right
from app.caller import Asking, GuardedRoute, needs
from app.errors import responses
from app.plan import service
from app.plan.making import Asked
from app.plan.schemas import Plan, TreeFile
from app.plan.workshop import Workshop
from app.ranges import MAX_INT

router = APIRouter(route_class=GuardedRoute, prefix="/jobqueues", tags=["the tree as a file"])

# The body is read by the process that makes the plan: here it would hold up the agents.
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": f"#/components/schemas/{TreeFile.__name__}"}}
        },
    }
}

Delete = Annotated[
    bool, Query(description="Queues below the root that the file does not name are to go")
]


async def _workshop(request: Request) -> Workshop:
    found: Workshop = request.app.state.workshop
    return found


TheWorkshop = Annotated[Workshop, Depends(_workshop)]


@router.post(
    "/plan",
    summary="What is different between a file and the tree",
    dependencies=[needs(Right.READ)],
    response_model=None,
    openapi_extra=FILE,
    responses={200: {"model": Plan}},
)
async def plan(
    request: Request,
    workshop: TheWorkshop,
    delete: Delete = False,
    agents: Annotated[
        int | None, Query(ge=0, le=MAX_INT, description="Share out so many; else those online")
    ] = None,
) -> Response:
    """Nothing is changed. A queue of the file is known by `id`, by `moved_from`, or by its name
    below its parent. What the file does not say of it has its default, but for `paused`.
    """  # noqa: D205
    content = await service.plan(workshop, request, Asked(delete=delete, agents=agents))
    return Response(content, media_type="application/json")


@router.post(
    "/apply",
    summary="Make the tree as a file says",
    dependencies=[needs(Right.EDIT_QUEUES)],
    response_model=None,
    openapi_extra=FILE,
    responses={200: {"model": Plan}, **responses(409)},
)
async def apply(
    request: Request,
    workshop: TheWorkshop,
    caller: Asking,
    delete: Delete = False,
    fingerprint: Annotated[
        str | None, Query(max_length=64, description="Of a plan: apply that one, or nothing")
    ] = None,
) -> Response:
    """All of it in one transaction, or nothing; once more, it changes nothing.

    409: the farm or the file changed since the plan, or a queue that is to go has jobs.
    """
    asked = Asked(delete=delete, shares=False)
    content = await service.apply(workshop, request, asked, fingerprint, caller)
    return Response(content, media_type="application/json")
