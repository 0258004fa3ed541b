"""What may be done to a job once it is there. Every edit holds the farm lock."""

import json
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.db.engine import lock_cleaning, lock_farm
from app.errors import Conflict, Invalid
from app.fields import within
from app.history.store import record
from app.jobqueues.bounds import must_be_inside
from app.jobqueues.service import resolve
from app.jobs import reading, store
from app.jobs.allowed import must_edit
from app.jobs.schemas import Job, JobChange, apart
from app.jobs.submission import check_parents
from app.policy.states import EndedBecause
from app.scheduler.ending import take_back

NAMED = 3


class JobHasDependents(Conflict):
    """Other jobs wait for it, and would wait for nothing."""

    code = "job_has_dependents"


class JobCycle(Invalid):
    """A job would wait for itself."""

    code = "job_cycle"


async def change(connection: AsyncConnection, job_id: int, asked: JobChange, caller: Caller) -> Job:
    await lock_farm(connection)
    await must_edit(connection, job_id, caller)
    stored = (await reading.get(connection, job_id)).model_dump()
    values = asked.sent()
    if {"queue", "job_queue_id"} & values.keys():
        fullpath = values.pop("queue", None)
        field = "job_queue_id" if fullpath is None else "queue"
        values["job_queue_id"] = await resolve(connection, asked.job_queue_id, fullpath, field)
    _check_pairs(stored, values)
    if "parents" in values:
        await _check_parents(connection, job_id, values["parents"])
    changed = {name: value for name, value in values.items() if _differ(stored[name], value)}
    if "job_queue_id" in changed:
        await must_be_inside(connection, caller, changed["job_queue_id"])
    if changed:
        await _apply(connection, stored, changed, caller)
    return await reading.get(connection, job_id)


async def remove(connection: AsyncConnection, job_id: int, caller: Caller) -> None:
    """Delete a job and take back what runs of it; one that is not there is deleted already."""
    await must_edit(connection, job_id, caller)
    await lock_cleaning(connection)
    await store.forget_ended(connection, job_id)
    await lock_farm(connection)
    await must_edit(connection, job_id, caller)
    stored = await store.lock_for_deletion(connection, job_id)
    if stored is None:
        return
    if stored["tasks_done"] < stored["tasks_total"]:
        await _check_dependents(connection, job_id)
    await take_back(connection, EndedBecause.JOB_DELETED, caller.actor, job_ids=[job_id])
    await store.remove(connection, job_id)
    detail = {"title": stored["title"]}
    await record(connection, caller.actor, "job.deleted", job_id=job_id, detail=detail)


async def pause(connection: AsyncConnection, job_id: int, caller: Caller, *, stop: bool) -> Job:
    """Nothing new goes out; what runs may finish, unless `stop` takes it back at once."""
    await _set_paused(connection, job_id, True, caller)
    if stop:
        await take_back(connection, EndedBecause.JOB_STOPPED, caller.actor, job_ids=[job_id])
    return await reading.get(connection, job_id)


async def resume(connection: AsyncConnection, job_id: int, caller: Caller) -> Job:
    await _set_paused(connection, job_id, False, caller)
    return await reading.get(connection, job_id)


async def rerun(connection: AsyncConnection, job_id: int, caller: Caller) -> Job:
    """Every task waits again as if it were new, but for those that run."""
    await must_edit(connection, job_id, caller)
    await lock_cleaning(connection)
    await store.forget_ended(connection, job_id)
    await lock_farm(connection)
    await must_edit(connection, job_id, caller)
    before = await reading.get(connection, job_id)
    await store.rerun(connection, job_id)
    return await _told(connection, before, "job.rerun", caller)


async def rerun_failed(connection: AsyncConnection, job_id: int, caller: Caller) -> Job:
    """The failed tasks wait again with their failures forgotten; all others stay as they are."""
    await must_edit(connection, job_id, caller)
    await lock_cleaning(connection)
    again = await store.retry_failed(connection, job_id)
    await lock_farm(connection)
    await must_edit(connection, job_id, caller)
    before = await reading.get(connection, job_id)
    if again["tasks"] == 0:
        return before
    await store.wait_again(connection, job_id, again)
    return await _told(connection, before, "job.rerun_failed", caller)


async def _told(connection: AsyncConnection, before: Job, action: str, caller: Caller) -> Job:
    detail = {"tasks": before.tasks.model_dump()}
    await record(connection, caller.actor, action, job_id=before.id, detail=detail)
    return await reading.get(connection, before.id)


async def _set_paused(
    connection: AsyncConnection, job_id: int, paused: bool, caller: Caller
) -> None:
    await lock_farm(connection)
    await must_edit(connection, job_id, caller)
    stored = await reading.get(connection, job_id)
    if stored.paused != paused:
        await store.change(connection, job_id, {"paused": paused})
        action = "job.paused" if paused else "job.resumed"
        await record(connection, caller.actor, action, job_id=job_id)


async def _apply(
    connection: AsyncConnection, stored: dict[str, Any], changed: dict[str, Any], caller: Caller
) -> None:
    columns = {name: value for name, value in changed.items() if name != "parents"}
    if columns:
        await store.change(connection, stored["id"], columns)
    if "parents" in changed:
        await store.set_parents(connection, stored["id"], changed["parents"])
    detail = {"from": {name: stored[name] for name in changed}, "to": changed}
    await record(connection, caller.actor, "job.changed", job_id=stored["id"], detail=detail)


def _check_pairs(stored: dict[str, Any], values: dict[str, Any]) -> None:
    """A limit or tag that is sent must agree with the other half, which may be stored."""
    both = stored | values
    for low, high, agree in (
        ("minimum_agents", "maximum_agents", within),
        ("required_tags", "excluded_tags", apart),
    ):
        try:
            agree(both[low], both[high])
        except ValueError as wrong:
            raise Invalid(str(wrong), field=low if low in values else high) from wrong


async def _check_parents(connection: AsyncConnection, job_id: int, parents: list[int]) -> None:
    check_parents(parents, await store.existing(connection, parents))
    if await store.is_above(connection, job_id, parents):
        raise JobCycle(f"job {job_id} would wait for itself", field="parents")


async def _check_dependents(connection: AsyncConnection, job_id: int) -> None:
    waiting = await store.unfinished_dependents(connection, job_id)
    if waiting:
        shown = [f"{job['id']} ({job['title']})" for job in waiting[:NAMED]]
        more = ", …" if len(waiting) > NAMED else ""
        raise JobHasDependents(
            f"job {job_id} is not done and these wait for it: {', '.join(shown)}{more};"
            " delete them first, or give them other parents"
        )


def _differ(stored: object, asked: object) -> bool:
    """Told by their JSON: to an agent 1, 1.0 and true differ, and so does the order of keys."""
    return json.dumps(stored) != json.dumps(asked)
