"""Whose jobs a caller may change, and which an agent may read."""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Right, Role
from app.caller import Caller
from app.errors import Forbidden
from app.jobqueues.bounds import inside, must_be_inside
from app.jobs import store
from app.jobs.schemas import Job


class OthersJob(Forbidden):
    """A submitter changes the jobs that came with its own token."""

    code = "others_job"


class NotItsWork(Forbidden):
    """An agent reads the jobs that it holds."""

    code = "not_its_work"


async def must_edit(connection: AsyncConnection, job_id: int, caller: Caller) -> None:
    """The caller may change this job; one that is not there is no matter of rights."""
    if caller.role is not Role.SUBMITTER and caller.job_queue_id is None:
        return
    job = await store.place(connection, job_id)
    if job is None:
        return
    if not _is_own(caller, job["submitted_by"]):
        raise OthersJob(
            f"job {job_id} was submitted with another token: to change it takes that one,"
            " or one of role operator"
        )
    await must_be_inside(connection, caller, job["job_queue_id"])


async def editable(
    connection: AsyncConnection, jobs: Sequence[Job], caller: Caller
) -> frozenset[int]:
    """The ids of those that the caller may change."""
    if not caller.has(Right.EDIT_JOBS):
        return frozenset()
    own = [job for job in jobs if _is_own(caller, job.submitted_by)]
    within = await inside(connection, caller, {job.job_queue_id for job in own})
    return frozenset(job.id for job in own if job.job_queue_id in within)


def _is_own(caller: Caller, submitted_by: int | None) -> bool:
    """A submitter has those that it submitted; to others whose they are is no matter."""
    return caller.role is not Role.SUBMITTER or submitted_by == caller.token_id


async def must_submit(
    connection: AsyncConnection, queue_ids: Iterable[int | None], caller: Caller
) -> None:
    """The caller may submit into these queues (None: the root)."""
    for queue_id in dict.fromkeys(queue_ids) if caller.job_queue_id is not None else ():
        await must_be_inside(connection, caller, queue_id)


async def must_read(connection: AsyncConnection, job_id: int, caller: Caller) -> None:
    if caller.agent_id is None:
        return
    if not await store.is_held_by(connection, job_id, caller.agent_id):
        raise NotItsWork(f"an agent reads the jobs that it holds, and job {job_id} is none of them")
