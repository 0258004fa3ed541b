"""Routes of the queue tree."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from app.access import Right
from app.caller import Asking, GuardedRoute, needs
from app.db.engine import Transaction
from app.errors import responses
from app.fields import Fullpath, Id, Name, Page, page_of
from app.jobqueues import service
from app.jobqueues.schemas import (
    JobQueue,
    JobQueueChange,
    JobQueueCreate,
    JobQueueDetails,
    TreeNode,
)
from app.parameters import Cursor, Limit, PathId

router = APIRouter(route_class=GuardedRoute, prefix="/jobqueues", tags=["job queues"])


async def _entitled(request: Request) -> Mapping[int, int]:
    """What the process knows of it, from whoever computes it."""
    found: Mapping[int, int] = request.app.state.entitlements.now()
    return found


Entitled = Annotated[Mapping[int, int], Depends(_entitled)]

READS, EDITS = [needs(Right.READ)], [needs(Right.EDIT_QUEUES)]


@router.post(
    "",
    status_code=201,
    summary="Add a queue to the tree",
    dependencies=EDITS,
    responses=responses(409),
)
async def create(asked: JobQueueCreate, connection: Transaction, caller: Asking) -> JobQueue:
    """Names are unique among siblings, the top level included (409)."""
    return await service.create(connection, asked, caller)


@router.get("", summary="List queues, by id", dependencies=READS)
async def page(
    connection: Transaction,
    parent_jobqueue_id: Annotated[
        Id | Literal["null"] | None, Query(description="Only its children; `null`: the top level")
    ] = None,
    fullpath: Annotated[Fullpath | None, Query(description="Only the queue of this path")] = None,
    name: Annotated[Name | None, Query(description="Only queues of this name")] = None,
    limit: Limit = 100,
    cursor: Cursor = 0,
) -> Page[JobQueue]:
    path = fullpath and fullpath.rstrip("/")
    asked = {"parent_jobqueue_id": parent_jobqueue_id, "fullpath": path, "name": name}
    matching: dict[str, Any] = {
        column: None if value == "null" else value
        for column, value in asked.items()
        if value is not None
    }
    return page_of(await service.page(connection, matching, cursor, limit + 1), limit)


@router.get(
    "/tree",
    summary="The whole tree, or a part of it",
    dependencies=READS,
    responses=responses(404),
)
async def tree(
    entitled: Entitled,  # before a connection is taken
    connection: Transaction,
    root: Annotated[Id | None, Query(description="Only this queue and what hangs below")] = None,
) -> TreeNode:
    """Each node with its limits, its agents and its tasks, in or below it.

    `entitled_agents` of a large farm is computed beside the service, and null until it is known.
    """
    return await service.tree(connection, root, entitled)


@router.get(
    "/{jobqueue_id}",
    summary="One queue and its neighbours",
    dependencies=READS,
    responses=responses(404),
)
async def details(jobqueue_id: PathId, connection: Transaction) -> JobQueueDetails:
    return await service.details(connection, jobqueue_id)


@router.patch(
    "/{jobqueue_id}",
    summary="Change, rename or move a queue",
    dependencies=EDITS,
    responses=responses(404, 409),
)
async def change(
    jobqueue_id: PathId, asked: JobQueueChange, connection: Transaction, caller: Asking
) -> JobQueue:
    """Every fullpath below follows; a move under itself or its descendant is a 409.

    Lowering a maximum takes nothing away: no new agent comes until fewer work there.
    """
    return await service.change(connection, jobqueue_id, asked, caller)


@router.delete(
    "/{jobqueue_id}",
    status_code=204,
    summary="Delete an empty queue",
    dependencies=EDITS,
    responses=responses(409),
)
async def remove(jobqueue_id: PathId, connection: Transaction, caller: Asking) -> None:
    """409 while it has children or jobs; 204 as well where it did not exist."""
    await service.remove(connection, jobqueue_id, caller)
