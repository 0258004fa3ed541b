"""The queues page: the tree as it lives, and what may be done to a queue."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response

from app.access import Right
from app.caller import needs
from app.db.engine import Transaction
from app.explain.service import seen
from app.figures import picture
from app.figures.picture import QueueRow, parts
from app.jobqueues import service
from app.jobqueues.bounds import is_bound_to, may_change
from app.jobqueues.schemas import JobQueueChange, JobQueueCreate
from app.page.answers import as_json, changed
from app.page.board import Rows
from app.page.forms import Form, Sent, made, number, one
from app.page.live import the_board
from app.page.render import html, page
from app.page.route import LoggedIn, PageRoute
from app.parameters import PathId
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm
from app.scheduler.router import AtTheDesk

router = APIRouter(route_class=PageRoute, include_in_schema=False)

READS, EDITS = [needs(Right.READ)], [needs(Right.EDIT_QUEUES)]

NUMBERS = ("minimum_agents", "maximum_agents", "priority", "weight")
LIMITS = ("minimum_agents", "maximum_agents")

NOTHING = QueueRow(0, 0, None, 0, 0, False, 0)[1:]  # of a queue that was not looked at yet


@router.get("/", dependencies=READS)
async def show(request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    """The page without its tree, which it asks for at once."""
    await _seen_if_read(desk, session)
    return page(request, session, "queues.html")


@router.get("/page/queues/rows", dependencies=READS)
async def rows(request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    """The tree as JSON: the mark from which on to watch, and a row for each queue.

    A row is a `QueueShape`, then what a `QueueRow` has after the id.
    """
    kept = await _seen_if_read(desk, session)
    mark, looked_at = await the_board(request).rows("queues")
    drawn = "" if kept is None else await _drawn(kept, looked_at)
    sent = f'{{"since":{json.dumps(mark)},"rows":[{drawn}]}}'
    answer = await as_json(request, sent)
    session.caller.must_stand()
    return answer


@router.get("/page/queues/0", dependencies=READS)
async def root_panel(request: Request, connection: Transaction, session: LoggedIn) -> Response:
    """What may be done at the top level."""
    edits = await may_change(connection, session.caller, None)
    shown = html(request, session, "queue.html", queue=None, edits=edits, fixed=True)
    return Response(shown, media_type="text/html")


@router.get("/page/queues/{queue_id}", dependencies=READS)
async def panel(
    queue_id: PathId, request: Request, connection: Transaction, session: LoggedIn
) -> Response:
    """One queue: what it is set to, and forms for who may change that."""
    shown = {
        "queue": await service.get(connection, queue_id),
        "edits": await may_change(connection, session.caller, queue_id),
        "fixed": is_bound_to(session.caller, queue_id),
    }
    return Response(html(request, session, "queue.html", **shown), media_type="text/html")


@router.post("/page/queues", dependencies=EDITS)
async def create(form: Sent, connection: Transaction, session: LoggedIn) -> Response:
    asked = made(JobQueueCreate, settings_of(form) | {"name": one(form, "name")} | _parent(form))
    queue = await service.create(connection, asked, session.caller)
    return changed("queues", f"{queue.fullpath} is there")


@router.post("/page/queues/{queue_id}", dependencies=EDITS)
async def change(
    queue_id: PathId, form: Sent, connection: Transaction, session: LoggedIn
) -> Response:
    """Its settings: those that were sent."""
    asked = made(JobQueueChange, settings_of(form))
    queue = await service.change(connection, queue_id, asked, session.caller)
    return changed("queues", f"{queue.fullpath} is saved")


@router.post("/page/queues/{queue_id}/move", dependencies=EDITS)
async def move(
    queue_id: PathId, form: Sent, connection: Transaction, session: LoggedIn
) -> Response:
    """Below another queue, by its id (0: the top level) or its fullpath."""
    asked = made(JobQueueChange, _parent(form))
    queue = await service.change(connection, queue_id, asked, session.caller)
    return changed("queues", f"moved: {queue.fullpath}")


@router.post("/page/queues/{queue_id}/pause", dependencies=EDITS)
async def pause(queue_id: PathId, connection: Transaction, session: LoggedIn) -> Response:
    """Nothing new goes out in it and below; what runs may finish."""
    asked = JobQueueChange(paused=True)
    queue = await service.change(connection, queue_id, asked, session.caller)
    return changed("queues", f"{queue.fullpath} is paused: what runs may finish")


@router.post("/page/queues/{queue_id}/resume", dependencies=EDITS)
async def resume(queue_id: PathId, connection: Transaction, session: LoggedIn) -> Response:
    asked = JobQueueChange(paused=False)
    queue = await service.change(connection, queue_id, asked, session.caller)
    return changed("queues", f"{queue.fullpath} goes on")


@router.post("/page/queues/{queue_id}/delete", dependencies=EDITS)
async def remove(queue_id: PathId, connection: Transaction, session: LoggedIn) -> Response:
    await service.remove(connection, queue_id, session.caller)
    return changed("queues", "the queue is deleted", gone=True)


def settings_of(form: Form) -> dict[str, Any]:
    """Those of the queue's settings that were sent. A limit that is empty is none."""
    values: dict[str, Any] = {
        name: number(one(form, name))
        for name in NUMBERS
        if name in form and (name in LIMITS or one(form, name))
    }
    if "name" in form:
        values["name"] = one(form, "name")
    if "prefer_running_jobs" in form:  # a hidden field says no before the box says yes
        values["prefer_running_jobs"] = one(form, "prefer_running_jobs") == "yes"
    return values


def _parent(form: Form) -> dict[str, Any]:
    if "parent_id" in form:
        return {"parent_jobqueue_id": number(one(form, "parent_id")) or None}
    return {"parent": one(form, "parent")}


async def _seen_if_read(desk: Desk, session: LoggedIn) -> KeptFarm | None:
    """The farm as it is now, for who still may see it; None while it is read at first."""
    if desk.kept is None:
        return None
    return await seen(desk, session.caller)


async def _drawn(kept: KeptFarm, looked_at: Rows) -> str:
    """The rows of all queues as they are set now, with the figures of the board's latest look."""
    figures = {row.id: row[1:] for row in looked_at.values() if isinstance(row, QueueRow)}
    drawn: list[str] = []
    async for some in parts([kept.farm.root, *kept.queues.values()]):
        found = [
            (*picture.shape(kept, queue), *figures.get(queue.id, NOTHING))
            for queue in some
            if queue.parent is not None or queue is kept.farm.root
        ]
        drawn += [json.dumps(found, separators=(",", ":"))[1:-1]] * bool(found)
    return ",".join(drawn)
