"""Why something does not run, as the page shows it: what the API explains, drawn."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access import Right
from app.caller import needs
from app.explain import service
from app.page.render import html
from app.page.route import LoggedIn, PageRoute
from app.parameters import PathId
from app.scheduler.router import AtTheDesk

router = APIRouter(
    route_class=PageRoute,
    prefix="/page",
    include_in_schema=False,
    dependencies=[needs(Right.READ)],
)


@router.get("/jobs/{job_id}/why")
async def job(job_id: PathId, request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    why = await service.job(desk, session.caller, job_id, None)
    return Response(html(request, session, "why.html", why=why), media_type="text/html")


@router.get("/queues/{queue_id}/why")
async def queue(queue_id: PathId, request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    why = await service.queue(desk, session.caller, queue_id, None)
    return Response(html(request, session, "why.html", why=why), media_type="text/html")


@router.get("/agents/{agent_id}/why")
async def agent(agent_id: UUID, request: Request, desk: AtTheDesk, session: LoggedIn) -> Response:
    why = await service.agent(desk, session.caller, agent_id)
    return Response(html(request, session, "why.html", why=why), media_type="text/html")
