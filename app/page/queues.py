"""The queues page: the tree as it lives, and what may be done to a queue."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from app.access import Right
from app.caller import needs
from app.db.engine import Transaction
from app.figures import picture
from app.figures.picture import QueueRow, QueueShape, parts
from app.jobqueues import service
from app.jobqueues.bounds import is_bound_to, may_change
from app.jobqueues.schemas import JobQueueChange, JobQueueCreate
from app.page.answers import changed
from app.page.board import Board
from app.page.forms import Form, Sent, made, number, one
from app.page.live import the_board
from app.page.render import TEMPLATES, html, page
from app.page.route import LoggedIn, PageRoute
from app.parameters import PathId
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm
from app.scheduler.router import AtTheDesk

router = APIRouter(route_class=PageRoute, include_in_schema=False)

READS, EDITS = [needs(Right.READ)], [needs(Right.EDIT_QUEUES)]

# Levels that are open at first, where there are many queues.
OPEN_LEVELS = 1
FEW = 80

NUMBERS = ("minimum_agents", "maximum_agents", "priority", "weight")
LIMITS = ("minimum_agents", "maximum_agents")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the tree as it is drawn first; the page's script keeps it so."""

    shape: QueueShape
    row: QueueRow
    level: int
    children: int
    fullpath: str
    hidden: bool
    expanded: bool


@router.get("/", dependencies=READS)
async def show(request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    board = the_board(request)
    mark = await board.mark("queues")
    lines = await _lines(await _seen(desk, session), board)
    drawn = await _drawn(lines)
    return page(request, session, "queues.html", mark=mark, rows=drawn, total=len(lines) - 1)


@router.get("/page/queues/rows", dependencies=READS)
async def rows(request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    """The rows alone, for a page whose tree has another shape by now."""
    lines = await _lines(await _seen(desk, session), the_board(request))
    return Response(await _drawn(lines), media_type="text/html")


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


async def _seen(desk: Desk, session: LoggedIn) -> KeptFarm | None:
    """The farm as it is now, for who still may see it; None while it is read at first."""
    if desk.kept is None:
        return None
    kept = await desk.look()
    session.caller.must_stand()
    return kept


async def _lines(kept: KeptFarm | None, board: Board) -> list[Line]:
    """The rows of the tree, each below its parent."""
    if kept is None:
        return []
    shapes = picture.shapes(kept)
    figures = await board.queue_rows(kept)
    children: dict[int, int] = {}
    for shape in shapes.values():
        children[shape.parent] = children.get(shape.parent, 0) + 1
    lines: dict[int, Line] = {}
    for shape in _in_order(shapes):
        above = lines.get(shape.parent)
        level = 0 if above is None else above.level + 1
        shown = len(shapes) <= FEW or level <= OPEN_LEVELS
        lines[shape.id] = Line(
            shape,
            figures.get(shape.id) or QueueRow(shape.id, 0, None, 0, 0, False, 0),
            level,
            children.get(shape.id, 0),
            "/" if above is None else f"{above.fullpath.rstrip('/')}/{shape.name}",
            hidden=not shown,
            expanded=len(shapes) <= FEW or level < OPEN_LEVELS,
        )
    return list(lines.values())


def _in_order(shapes: dict[int, QueueShape]) -> list[QueueShape]:
    """Depth first: each queue, then all below it."""
    below: dict[int, list[QueueShape]] = {}
    for shape in shapes.values():
        below.setdefault(shape.parent, []).append(shape)
    found, rest = [], list(below[-1])
    while rest:
        shape = rest.pop()
        found.append(shape)
        rest.extend(reversed(below.get(shape.id, [])))
    return found


async def _drawn(lines: list[Line]) -> str:
    row = TEMPLATES.get_template("queue_row.html").module.row  # type: ignore[attr-defined]
    drawn: list[str] = []
    if len(_DRAWN) > MOST_DRAWN:
        _DRAWN.clear()
    async for some in parts(lines):
        for line in some:
            before = _DRAWN.get(line.shape.id)
            if before is None or before[0] != line:
                before = _DRAWN[line.shape.id] = line, str(row(line))
            drawn.append(before[1])
    return "".join(drawn)


# Rows as they were drawn last: most are the same when the next page is.
_DRAWN: dict[int, tuple[Line, str]] = {}
MOST_DRAWN = 20_000
