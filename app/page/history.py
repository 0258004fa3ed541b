"""The history page: plots of what went on, and who changed what meanwhile."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.access import Right
from app.caller import needs
from app.db.engine import Transaction
from app.figures import service
from app.figures.schemas import FarmFigures, Span
from app.jobqueues.service import NoSuchQueue
from app.page.forms import path_of
from app.page.render import page
from app.page.route import LoggedIn, PageRoute

router = APIRouter(
    route_class=PageRoute,
    prefix="/page/history",
    include_in_schema=False,
    dependencies=[needs(Right.READ)],
)

Words = Annotated[str, Query(max_length=8_192)]


@router.get("")
async def show(
    request: Request,
    connection: Transaction,
    session: LoggedIn,
    span: Span = Span.HOUR,
    queue: Words = "",
) -> Response:
    shown: dict[str, Any] = {"changes": [], "problem": None}
    try:
        shown["changes"] = (await service.figures(connection, span, path_of(queue))).changes
    except NoSuchQueue as unknown:
        shown["problem"] = unknown.detail
    shown |= {"spans": list(Span), "span": span, "queue": queue}
    return page(request, session, "history.html", **shown)


@router.get("/figures")
async def figures(
    connection: Transaction, span: Span = Span.HOUR, queue: Words = ""
) -> FarmFigures:
    """What the plots show."""
    return await service.figures(connection, span, path_of(queue))
