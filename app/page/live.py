"""The streams of changes. They hold no database connection."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import EventSourceResponse

from app.access import Right
from app.caller import needs
from app.page.board import Board
from app.page.route import LoggedIn, PageRoute

router = APIRouter(
    route_class=PageRoute,
    prefix="/page",
    include_in_schema=False,
    dependencies=[needs(Right.READ)],
)

TopicName = Literal["queues", "jobs", "agents"]


def the_board(request: Request) -> Board:
    found: Board = request.app.state.board
    return found


@router.get("/live/{topic}")
async def live(
    topic: TopicName,
    request: Request,
    session: LoggedIn,
    since: Annotated[str, Query(max_length=64)] = "",
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> EventSourceResponse:
    """What changes of a topic, from the mark of the page on, or from the last event that came."""
    events = the_board(request).watch(topic, last_event_id or since, session)
    return EventSourceResponse(events, headers={"X-Accel-Buffering": "no"})
