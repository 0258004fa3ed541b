"""The page of one job: its facts, its frames by state, and what may be done to it."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Right
from app.agents import service as agents
from app.caller import needs
from app.db.engine import Transaction
from app.jobs import reading, service, tasks
from app.jobs.allowed import editable
from app.jobs.estimated import Known, estimated
from app.jobs.schemas import JobChange
from app.page import store
from app.page.answers import changed
from app.page.forms import Form, Sent, made, number, one
from app.page.live import the_board
from app.page.render import html, page
from app.page.route import LoggedIn, PageRoute
from app.parameters import PathId
from app.policy.states import TaskState
from app.policy.task_ids import task_id
from app.ranges import MAX_TASKS
from app.scheduler.refusals import AgentNotFound
from app.simulation.estimates import Estimates

router = APIRouter(route_class=PageRoute, prefix="/page/jobs/{job_id}", include_in_schema=False)

READS, EDITS = [needs(Right.READ)], [needs(Right.EDIT_JOBS)]

FAILED_SHOWN = 20
MOST_RUNS = 20_000
LONGEST_ERROR = 4_000

Ordinal = Annotated[int, Query(ge=0, lt=MAX_TASKS)]


@router.get("", dependencies=READS)
async def show(
    job_id: PathId, request: Request, connection: Transaction, session: LoggedIn, known: Known
) -> Response:
    mark = the_board(request).mark("jobs")
    shown = await _facts(connection, job_id, known, session)
    return page(request, session, "job.html", mark=mark, **shown)


@router.get("/facts", dependencies=READS)
async def facts(
    job_id: PathId, request: Request, connection: Transaction, session: LoggedIn, known: Known
) -> Response:
    """What changes of the page as the job goes on."""
    shown = await _facts(connection, job_id, known, session)
    return Response(html(request, session, "job_facts.html", **shown), media_type="text/html")


@router.get("/runs", dependencies=READS)
async def runs(
    job_id: PathId,
    connection: Transaction,
    first: Ordinal = 0,
    count: Annotated[int, Query(ge=1, le=MOST_RUNS)] = 5_000,
) -> dict[str, str]:
    """The tasks from an ordinal on: by state, ranges of ordinals; the others wait."""
    return await store.runs(connection, job_id, first, first + count)


@router.get("/tasks/{ordinal}", dependencies=READS)
async def task(
    job_id: PathId, ordinal: int, request: Request, connection: Transaction, session: LoggedIn
) -> Response:
    """One task: how it stands, who has it, and the end of its error."""
    found = await tasks.get(connection, task_id(job_id, min(max(ordinal, 0), MAX_TASKS - 1)))
    agent = None
    if found.agent_id is not None:
        with suppress(AgentNotFound):
            agent = await agents.get(connection, found.agent_id)
    error = (found.last_error or "")[-LONGEST_ERROR:]
    shown = html(request, session, "task.html", task=found, agent=agent, error=error)
    return Response(shown, media_type="text/html")


@router.post("/pause", dependencies=EDITS)
async def pause(job_id: PathId, form: Sent, connection: Transaction, session: LoggedIn) -> Response:
    """What runs may finish, or is taken back at once."""
    stop = one(form, "stop") == "yes"
    await service.pause(connection, job_id, session.caller, stop=stop)
    told = "paused, and what ran is taken back" if stop else "paused: what runs may finish"
    return changed("jobs", f"job {job_id} is {told}")


@router.post("/resume", dependencies=EDITS)
async def resume(job_id: PathId, connection: Transaction, session: LoggedIn) -> Response:
    await service.resume(connection, job_id, session.caller)
    return changed("jobs", f"job {job_id} may go on")


@router.post("/retry", dependencies=EDITS)
async def retry(job_id: PathId, connection: Transaction, session: LoggedIn) -> Response:
    await service.rerun_failed(connection, job_id, session.caller)
    return changed("jobs", "the failed tasks wait again")


@router.post("/rerun", dependencies=EDITS)
async def rerun(job_id: PathId, connection: Transaction, session: LoggedIn) -> Response:
    await service.rerun(connection, job_id, session.caller)
    return changed("jobs", "all tasks wait again, but for those that run")


@router.post("/delete", dependencies=EDITS)
async def remove(
    job_id: PathId, request: Request, connection: Transaction, session: LoggedIn
) -> Response:
    await service.remove(connection, job_id, session.caller)
    root: str = request.scope.get("root_path", "").rstrip("/")
    return Response(status_code=204, headers={"HX-Redirect": f"{root}/page/jobs"})


@router.post("", dependencies=EDITS)
async def change(
    job_id: PathId, form: Sent, connection: Transaction, session: LoggedIn
) -> Response:
    """Its settings, and its queue: those that were sent."""
    asked = made(JobChange, _settings(form))
    await service.change(connection, job_id, asked, session.caller)
    return changed("jobs", f"job {job_id} is saved")


def _settings(form: Form) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: number(one(form, name)) for name in ("priority", "weight") if one(form, name)
    }
    values |= {
        name: number(one(form, name))
        for name in ("minimum_agents", "maximum_agents")
        if name in form
    }
    return values | {name: one(form, name) for name in ("queue", "title") if one(form, name)}


async def _facts(
    connection: AsyncConnection, job_id: int, known: Estimates, session: LoggedIn
) -> dict[str, Any]:
    [job] = estimated([await reading.get(connection, job_id)], known)
    failed = await tasks.page(connection, job_id, TaskState.FAILED, 0, FAILED_SHOWN)
    counts = job.tasks
    total = counts.waiting + counts.running + counts.done + counts.failed
    edits = bool(await editable(connection, [job], session.caller))
    return {"job": job, "failed": failed, "total": total, "edits": edits}
