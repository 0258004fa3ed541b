"""The jobs page: what there is, newest first, and what may be done to many at once."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Right
from app.caller import needs
from app.db.engine import Transaction
from app.fields import MAX_BIGINT
from app.jobqueues.service import NoSuchQueue, resolve
from app.jobs import reading, service
from app.jobs.allowed import editable
from app.jobs.estimated import Known, estimated
from app.jobs.schemas import JobChange
from app.page import store
from app.page.forms import Form, Sent, ids, made, number, one, path_of
from app.page.live import the_board
from app.page.many import each
from app.page.render import html, page
from app.page.route import LoggedIn, PageRoute
from app.policy.states import JobState

router = APIRouter(route_class=PageRoute, prefix="/page/jobs", include_in_schema=False)

READS, EDITS = [needs(Right.READ)], [needs(Right.EDIT_JOBS)]

A_PAGE = 100
LONGEST = 255
NOBODYS = 0  # no queue has this id

State = Annotated[JobState | None, Query()]
Words = Annotated[str, Query(max_length=8_192)]
Before = Annotated[int, Query(ge=1, le=MAX_BIGINT)]


@router.get("", dependencies=READS)
async def show(
    request: Request,
    connection: Transaction,
    session: LoggedIn,
    known: Known,
    state: str = "",
    queue: Words = "",
    title: Words = "",
    before: Before = MAX_BIGINT,
) -> Response:
    """The list; its filters are in its address, so that it can be kept and sent."""
    mark = the_board(request).mark("jobs")
    shown = await _shown(connection, state, queue.strip(), title.strip(), before)
    shown["editable"] = await editable(connection, shown["jobs"], session.caller)
    shown["jobs"] = estimated(shown["jobs"], known)
    if "hx-request" in request.headers:
        return Response(html(request, session, "job_rows.html", **shown), media_type="text/html")
    return page(request, session, "jobs.html", mark=mark, states=list(JobState), **shown)


@router.post("/pause", dependencies=EDITS)
async def pause(request: Request, form: Sent, session: LoggedIn) -> Response:
    async def work(connection: AsyncConnection, job_id: int) -> object:
        return await service.pause(connection, job_id, session.caller, stop=False)

    return await each(request, ids(form), work, "jobs", "{number} job{s} {are} paused")


@router.post("/resume", dependencies=EDITS)
async def resume(request: Request, form: Sent, session: LoggedIn) -> Response:
    async def work(connection: AsyncConnection, job_id: int) -> object:
        return await service.resume(connection, job_id, session.caller)

    return await each(request, ids(form), work, "jobs", "{number} job{s} may go on")


@router.post("/retry", dependencies=EDITS)
async def retry(request: Request, form: Sent, session: LoggedIn) -> Response:
    """The failed tasks again, on any agent."""

    async def work(connection: AsyncConnection, job_id: int) -> object:
        return await service.rerun_failed(connection, job_id, session.caller)

    told = "the failed tasks of {number} job{s} wait again"
    return await each(request, ids(form), work, "jobs", told)


@router.post("/priority", dependencies=EDITS)
async def prioritise(request: Request, form: Sent, session: LoggedIn) -> Response:
    asked = made(JobChange, {"priority": number(one(form, "priority"))})
    return await _change(request, form, session, asked, "{number} job{s} {are} changed")


@router.post("/move", dependencies=EDITS)
async def move(request: Request, form: Sent, session: LoggedIn) -> Response:
    asked = made(JobChange, {"queue": one(form, "queue")})
    return await _change(request, form, session, asked, "{number} job{s} {are} moved")


async def _change(
    request: Request, form: Form, session: LoggedIn, asked: JobChange, done: str
) -> Response:
    async def work(connection: AsyncConnection, job_id: int) -> object:
        return await service.change(connection, job_id, asked, session.caller)

    return await each(request, ids(form), work, "jobs", done)


async def _shown(
    connection: AsyncConnection, state: str, queue: str, title: str, before: int
) -> dict[str, Any]:
    """The jobs of one page of the list, and the addresses of this and the next one."""
    queue_id, problem = await _queue_id(connection, path_of(queue))
    known_state = JobState(state) if state in list(JobState) else None
    wanted = store.Wanted(known_state, queue_id, title[:LONGEST])
    found = await store.job_ids(connection, wanted, before, A_PAGE + 1)
    jobs = await reading.get_all(connection, found[:A_PAGE])
    jobs.sort(key=lambda job: -job.id)
    filters = {"state": wanted.state or "", "queue": queue, "title": title}
    kept = {name: str(value) for name, value in filters.items() if value}
    more = urlencode(kept | {"before": jobs[-1].id}) if len(found) > A_PAGE else None
    first = before == MAX_BIGINT
    here = urlencode(kept if first else kept | {"before": before})
    return {
        "jobs": jobs,
        **filters,
        "problem": problem,
        "below": path_of(queue).rstrip("/"),
        "before": before,
        "a_page": A_PAGE,
        "more": more,
        "here": here,
        "first": first,
    }


async def _queue_id(connection: AsyncConnection, fullpath: str) -> tuple[int | None, str | None]:
    """The queue's id (None: any); and what is wrong where there is none."""
    try:
        return await resolve(connection, None, fullpath, "queue"), None
    except NoSuchQueue as unknown:
        return NOBODYS, unknown.detail
