"""Jobs come in: one, or a batch of which all are stored or none.

It takes no farm lock: a new job adds nothing to what agents hold. But for a token that is
bound to a queue, so that no queue moves before the jobs are in it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.db.engine import lock_farm
from app.db.refusals import refused_as
from app.errors import AppError, Invalid
from app.history.store import record_all
from app.jobqueues import store as jobqueues
from app.jobqueues.service import ROOT, NoSuchQueue
from app.jobs import reading, store
from app.jobs.allowed import must_submit
from app.jobs.schemas import BatchJob, Job, JobCreate
from app.policy.frames import Frames, FramesRefused, parse, stepped
from app.ranges import MAX_TASKS


class NoSuchParent(Invalid):
    """A body names a parent job that is not there."""

    code = "no_such_job"


async def submit(connection: AsyncConnection, asked: JobCreate, caller: Caller) -> Job:
    [job] = await _store(connection, [asked], [""], caller)
    return job


async def submit_batch(
    connection: AsyncConnection, asked: Sequence[BatchJob], caller: Caller
) -> list[Job]:
    """The jobs stored, in the order given; an error names the place of the job that caused it."""
    places = [f"jobs.{place}." for place in range(len(asked))]
    for place, job in enumerate(asked):
        if any(earlier >= place for earlier in job.after):
            raise Invalid("must name earlier jobs of the batch", field=f"{places[place]}after")
    return await _store(connection, asked, places, caller)


async def _store(
    connection: AsyncConnection, asked: Sequence[JobCreate], places: Sequence[str], caller: Caller
) -> list[Job]:
    """Store the jobs in a number of statements that does not depend on how many they are."""
    # Before the transaction begins, and beside the loop that answers agents: it may take a while.
    frames = await asyncio.to_thread(_frames_of_all, asked, places)
    if caller.job_queue_id is not None:
        await lock_farm(connection)
    queues = await _queues(connection, asked)
    parents = await store.existing(connection, [id_ for job in asked for id_ in job.parents])
    rows = [
        row | {"submitted_by": caller.token_id}
        for row in _rows(asked, places, frames, queues, parents)
    ]
    await must_submit(connection, (row["job_queue_id"] for row in rows), caller)
    with refused_as(_gone()):
        job_ids = await store.add_all(connection, rows)
        await store.depend(connection, _pairs(asked, job_ids))
    await record_all(
        connection, [_event(*made, caller.actor) for made in zip(job_ids, rows, strict=True)]
    )
    stored = {job.id: job for job in await reading.get_all(connection, job_ids)}
    return [stored[job_id] for job_id in job_ids]


def _frames_of_all(asked: Sequence[JobCreate], places: Sequence[str]) -> list[Frames]:
    frames = []
    for job, place in zip(asked, places, strict=True):
        with _fields_under(place):
            frames.append(_frames(job))
    return frames


def _rows(
    asked: Sequence[JobCreate],
    places: Sequence[str],
    frames: Sequence[Frames],
    queues: Mapping[int | str, int],
    parents: set[int],
) -> list[dict[str, Any]]:
    rows = []
    for job, place, of_job in zip(asked, places, frames, strict=True):
        with _fields_under(place):
            check_parents(job.parents, parents)
            rows.append(_row(job, of_job, queues))
    return rows


@contextmanager
def _fields_under(place: str) -> Iterator[None]:
    """Errors raised inside name their field with the job's place in front."""
    try:
        yield
    except AppError as refused:
        for error in refused.errors:
            error.field = f"{place}{error.field}"
        raise


async def _queues(
    connection: AsyncConnection, asked: Sequence[JobCreate]
) -> Mapping[int | str, int]:
    ids = {job.job_queue_id for job in asked if job.job_queue_id is not None}
    fullpaths = {job.queue.rstrip("/") for job in asked if job.queue is not None}
    existing = await jobqueues.existing(connection, sorted(ids)) if ids else set()
    named = await jobqueues.ids_of(connection, sorted(fullpaths)) if fullpaths else {}
    return {queue_id: queue_id for queue_id in existing} | named


def check_parents(parents: Sequence[int], existing: set[int]) -> None:
    missing = [str(parent_id) for parent_id in parents if parent_id not in existing]
    if missing:
        raise NoSuchParent(f"there is no job with id {', '.join(missing)}", field="parents")


def _row(asked: JobCreate, frames: Frames, queues: Mapping[int | str, int]) -> dict[str, Any]:
    total = _total(asked, frames)
    values = asked.model_dump(exclude={"queue", "parents", "after"})
    return values | {
        "job_queue_id": _queue_id(asked, queues),
        "start": frames[0] if asked.start is None else asked.start,
        "end": frames[len(frames) - 1] if asked.end is None else asked.end,
        "by": asked.by if asked.frames is None else frames.by,
        "frames": str(frames),
        "tasks_total": total,
    }


def _queue_id(asked: JobCreate, queues: Mapping[int | str, int]) -> int | None:
    if asked.queue == ROOT:
        return None
    if asked.queue is not None:
        found = queues.get(asked.queue.rstrip("/"))
        if found is None:
            raise NoSuchQueue(f"there is no queue {asked.queue[:200]}", field="queue")
        return found
    if asked.job_queue_id is not None and asked.job_queue_id not in queues:
        raise NoSuchQueue(f"there is no queue with id {asked.job_queue_id}", field="job_queue_id")
    return asked.job_queue_id


def _frames(asked: JobCreate) -> Frames:
    try:
        return _asked_frames(asked)
    except FramesRefused as refused:
        field = "end" if asked.frames is None else "frames"
        raise Invalid(str(refused), field=field) from refused


def _asked_frames(asked: JobCreate) -> Frames:
    """By `frames`, or by start, end and by: one of the two ways."""
    stepwise = asked.start is not None or asked.end is not None or "by" in asked.model_fields_set
    if asked.frames is not None and stepwise:
        raise Invalid("give either frames or start, end and by, not both", field="frames")
    if asked.frames is not None:
        return parse(asked.frames)
    if asked.start is None or asked.end is None:
        missing = "start" if asked.start is None else "end"
        raise Invalid("give start and end, or frames such as 1-10x2,20", field=missing)
    return stepped(asked.start, asked.end, asked.by)


def _total(asked: JobCreate, frames: Frames) -> int:
    total = len(frames) * asked.num_tiles
    if total > MAX_TASKS:
        raise Invalid(
            f"{len(frames)} frames of {asked.num_tiles} tiles are {total} tasks:"
            f" at most {MAX_TASKS} are allowed",
            field="num_tiles",
        )
    return total


def _pairs(asked: Sequence[JobCreate], job_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Each job with each of its parents, those of the same batch too."""
    pairs = []
    for job, job_id in zip(asked, job_ids, strict=True):
        earlier = {job_ids[place] for place in job.after} if isinstance(job, BatchJob) else set()
        pairs += [(job_id, parent_id) for parent_id in sorted({*job.parents, *earlier})]
    return pairs


# What the history has of a job from its beginning: what an audit of it asks for, and its name.
_TOLD = (
    *("title", "job_queue_id", "frames", "tasks_total", "requeue"),
    *("minimum_agents", "maximum_agents"),
)


def _event(job_id: int, row: Mapping[str, Any], actor: str) -> dict[str, Any]:
    detail = {name: row[name] for name in _TOLD}
    return {"actor": actor, "action": "job.submitted", "job_id": job_id, "detail": detail}


def _gone() -> dict[str, AppError]:
    """What may be deleted while the jobs are on their way in."""
    return {
        "fk_jobs_job_queue_id": NoSuchQueue("the queue was just deleted", field="job_queue_id"),
        "fk_job_dependencies_parent_job_id": NoSuchParent(
            "a parent was just deleted", field="parents"
        ),
    }
