"""Reports and releases, top to bottom."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.db.engine import lock_farm
from app.policy.states import EndedBecause
from app.scheduler.cycle import Report
from app.scheduler.desk import Desk
from app.scheduler.ending import stands, take_back
from app.scheduler.refusals import AssignmentNotFound, ended
from app.scheduler.schemas import AssignmentStatus, Result


async def report(
    desk: Desk, assignment_id: int, results: Sequence[Result], caller: Caller
) -> AssignmentStatus:
    """Count what is new in the results; all of them or none."""
    return await desk.tell(Report(assignment_id, results, caller))


async def release(
    connection: AsyncConnection, assignment_id: int, caller: Caller
) -> AssignmentStatus:
    """Give the unfinished tasks back; once more is the same as once."""
    await lock_farm(connection)
    assignment = await stands(connection, assignment_id)
    if assignment is None:
        raise AssignmentNotFound(f"there is no assignment {assignment_id}")
    caller.must_be_agent(assignment["agent_id"])
    if assignment["ended"] and assignment["ended_because"] not in {
        EndedBecause.RELEASED,
        EndedBecause.COMPLETED,
    }:
        raise ended(assignment_id, assignment["ended_because"])
    await take_back(connection, EndedBecause.RELEASED, caller.actor, assignment_ids=[assignment_id])
    return AssignmentStatus(id=assignment_id, active=False)
