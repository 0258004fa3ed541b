"""Routes of jobs and their tasks."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from app.access import Right
from app.caller import Asking, GuardedRoute, needs
from app.db.engine import Transaction
from app.errors import responses
from app.fields import Fullpath, Id, Page, page_of
from app.jobqueues.service import ROOT
from app.jobs import reading, service, submission, tasks
from app.jobs.allowed import must_read
from app.jobs.estimated import Known, estimated
from app.jobs.once import Key, once
from app.jobs.schemas import Job, JobBatch, JobChange, JobCreate, Pause, Submitted, Task
from app.parameters import Cursor, Limit, PathId
from app.policy.states import JobState, TaskState
from app.policy.task_ids import split

router = APIRouter(route_class=GuardedRoute, tags=["jobs"])

READS, READS_WORK = [needs(Right.READ)], [needs(Right.READ_WORK)]
SUBMITS, EDITS = [needs(Right.SUBMIT)], [needs(Right.EDIT_JOBS)]

TaskCursor = Annotated[Cursor, Query(description="`next` of the page before: a task's id")]


@router.post("/jobs", status_code=201, dependencies=SUBMITS, summary="Submit a job")
async def submit(asked: JobCreate, connection: Transaction, caller: Asking, key: Key = None) -> Job:
    """Its frames are given by `start`, `end` and `by`, or by `frames`; tiles multiply them.

    A job has at most 1,000,000 tasks. An unknown queue or parent is a 422, and so is an
    `Idempotency-Key` that came with another body before.
    """
    work = partial(submission.submit, connection, asked, caller)
    return await once(connection, key, caller, asked, Job, work)


@router.post(
    "/jobs/batch",
    status_code=201,
    dependencies=SUBMITS,
    summary="Submit up to 1,000 jobs, all or none",
)
async def submit_batch(
    asked: JobBatch, connection: Transaction, caller: Asking, key: Key = None
) -> Submitted:
    """The jobs come back in the order given; an error names the job's place, from 0.

    A job may wait for earlier ones of the same batch: `after` holds their places.
    """

    async def work() -> Submitted:
        return Submitted(items=await submission.submit_batch(connection, asked.jobs, caller))

    return await once(connection, key, caller, asked, Submitted, work)


@router.get("/jobs", dependencies=READS, summary="List jobs, by id")
async def page(
    connection: Transaction,
    known: Known,
    state: Annotated[JobState | None, Query(description="Only jobs in this state")] = None,
    job_queue_id: Annotated[
        Id | Literal["null"] | None, Query(description="Only jobs right in it; `null`: the root")
    ] = None,
    queue: Annotated[
        Fullpath | None, Query(description="Only jobs right in the queue of this path")
    ] = None,
    limit: Limit = 100,
    cursor: Cursor = 0,
) -> Page[Job]:
    matching: dict[str, Any] = {}
    if job_queue_id is not None:
        matching["job_queue_id"] = None if job_queue_id == "null" else job_queue_id
    if queue is not None:
        matching["queue"] = None if queue == ROOT else queue.rstrip("/")
    found = await reading.page(connection, state, matching, cursor, limit + 1)
    return page_of(estimated(found, known), limit)


@router.get("/jobs/{job_id}", dependencies=READS_WORK, summary="One job", responses=responses(404))
async def get(job_id: PathId, connection: Transaction, caller: Asking, known: Known) -> Job:
    await must_read(connection, job_id, caller)
    [found] = estimated([await reading.get(connection, job_id)], known)
    return found


@router.patch(
    "/jobs/{job_id}", dependencies=EDITS, summary="Change or move a job", responses=responses(404)
)
async def change(job_id: PathId, asked: JobChange, connection: Transaction, caller: Asking) -> Job:
    """Any field but the frames. What runs stays with its agents.

    Lowering a maximum takes nothing away; a new `requeue` counts from the next failure on.
    Parents that would make the job wait for itself are a 422.
    """
    return await service.change(connection, job_id, asked, caller)


@router.delete(
    "/jobs/{job_id}",
    status_code=204,
    dependencies=EDITS,
    summary="Delete a job",
    responses=responses(409),
)
async def remove(job_id: PathId, connection: Transaction, caller: Asking) -> None:
    """What runs of it is taken back. 204 as well where it did not exist.

    409 while it is not done and jobs that are not done wait for it.
    """
    await service.remove(connection, job_id, caller)


@router.post(
    "/jobs/{job_id}/pause",
    dependencies=EDITS,
    summary="Give out nothing more",
    responses=responses(404),
)
async def pause(
    job_id: PathId, connection: Transaction, caller: Asking, asked: Pause | None = None
) -> Job:
    """What runs may finish; with `stop` it is taken back at once, and waits again."""
    return await service.pause(connection, job_id, caller, stop=asked is not None and asked.stop)


@router.post(
    "/jobs/{job_id}/resume",
    dependencies=EDITS,
    summary="Let a paused job go on",
    responses=responses(404),
)
async def resume(job_id: PathId, connection: Transaction, caller: Asking) -> Job:
    """Does nothing to a job that is not paused."""
    return await service.resume(connection, job_id, caller)


@router.post(
    "/jobs/{job_id}/rerun",
    dependencies=EDITS,
    summary="Do all tasks again",
    responses=responses(404),
)
async def rerun(job_id: PathId, connection: Transaction, caller: Asking) -> Job:
    """A fresh start, attempts and failures forgotten. Tasks that run now are left alone."""
    return await service.rerun(connection, job_id, caller)


@router.post(
    "/jobs/{job_id}/rerun-failed",
    dependencies=EDITS,
    summary="Do the failed tasks again",
    responses=responses(404),
)
async def rerun_failed(job_id: PathId, connection: Transaction, caller: Asking) -> Job:
    """They may fail `requeue` times anew, and on any agent. Other tasks are left alone."""
    return await service.rerun_failed(connection, job_id, caller)


@router.get(
    "/jobs/{job_id}/tasks",
    dependencies=READS_WORK,
    summary="List a job's tasks, by frame, then tile",
    responses=responses(404),
)
async def task_page(
    job_id: PathId,
    connection: Transaction,
    caller: Asking,
    state: Annotated[TaskState | None, Query(description="Only tasks in this state")] = None,
    limit: Limit = 100,
    cursor: TaskCursor = 0,
) -> Page[Task]:
    await must_read(connection, job_id, caller)
    return page_of(await tasks.page(connection, job_id, state, cursor, limit + 1), limit)


@router.get(
    "/tasks/{task_id}", dependencies=READS_WORK, summary="One task", responses=responses(404)
)
async def task(task_id: PathId, connection: Transaction, caller: Asking) -> Task:
    await must_read(connection, split(task_id)[0], caller)
    return await tasks.get(connection, task_id)
