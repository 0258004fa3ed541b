"""Polls, reports and releases, top to bottom."""

import asyncio
from collections.abc import Sequence

from fastapi import Request
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import hint, lock_farm
from app.errors import NotFound
from app.policy.states import EndedBecause, Verdict
from app.scheduler import reports, store
from app.scheduler.desk import Desk
from app.scheduler.ending import take_back
from app.scheduler.schemas import Assignment, AssignmentStatus, AssignRequest, Result
from app.settings import Settings


class AssignmentNotFound(NotFound):
    code = "assignment_not_found"


async def assign(desk: Desk, asked: AssignRequest, request: Request) -> Assignment | None:
    """The agent's work, within `wait` seconds; a client that hangs up leaves nothing behind."""
    if asked.wait == 0:
        return await desk.ask(asked)
    answer = asyncio.ensure_future(desk.ask(asked))
    hung_up = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({answer, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        return await answer if answer.done() else None
    finally:
        answer.cancel()
        hung_up.cancel()


async def report(
    connection: AsyncConnection,
    assignment_id: int,
    results: Sequence[Result],
    settings: Settings,
) -> AssignmentStatus:
    """Count what is new in the results; all of them or none."""
    await lock_farm(connection)
    assignment = await _assignment(connection, assignment_id)
    counted = reports.weigh(assignment, results)
    ended = await reports.count(connection, counted)
    await store.renew(connection, assignment_id, settings.lease_seconds)
    if any(one.result.state != "running" for one in counted):
        await hint(connection)
    return AssignmentStatus(id=assignment_id, active=not assignment["ended"] and not ended)


async def release(connection: AsyncConnection, assignment_id: int, caller: str) -> AssignmentStatus:
    """Give the unfinished tasks back; once more is the same as once."""
    await lock_farm(connection)
    assignment = await _assignment(connection, assignment_id)
    if assignment["ended"] and assignment["ended_because"] not in {
        EndedBecause.RELEASED,
        EndedBecause.COMPLETED,
    }:
        raise reports.refusal(Verdict.ENDED, assignment, task=0)
    if await take_back(connection, EndedBecause.RELEASED, caller, assignment_ids=[assignment_id]):
        await hint(connection)
    return AssignmentStatus(id=assignment_id, active=False)


async def _assignment(connection: AsyncConnection, assignment_id: int) -> RowMapping:
    rows = await store.assignments(connection, assignment_ids=[assignment_id])
    if not rows:
        raise AssignmentNotFound(f"there is no assignment {assignment_id}")
    return rows[0]


async def _hung_up(request: Request) -> None:
    """Returns when the client is gone; the body has been read, so nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
