"""The SQL of explanations."""

from uuid import UUID

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import agents, assignments, jobqueues, jobs


async def assignment(connection: AsyncConnection, assignment_id: int) -> RowMapping | None:
    """What it was made of, with the names that are still there."""
    columns = (
        *(assignments.c.agent_id, assignments.c.job_id, assignments.c.started_at),
        *(assignments.c.why, agents.c.hostname, jobs.c.title),
    )
    found = await connection.execute(
        select(*columns)
        .select_from(assignments)
        .outerjoin(agents, agents.c.id == assignments.c.agent_id)
        .outerjoin(jobs, jobs.c.id == assignments.c.job_id)
        .where(assignments.c.id == assignment_id)
    )
    return found.mappings().one_or_none()


async def ram(connection: AsyncConnection) -> dict[UUID, int]:
    """How much memory agents have in all that report less than that as free."""
    found = await connection.execute(  # two arrays, not rows by the thousand
        select(func.array_agg(agents.c.id), func.array_agg(agents.c.ram)).where(
            agents.c.online, agents.c.ram > agents.c.free_ram
        )
    )
    ids, ram_in_all = found.one()
    return dict(zip(ids or (), ram_in_all or (), strict=True))


async def names(
    connection: AsyncConnection, queue_ids: set[int], job_ids: set[int]
) -> tuple[dict[int, str], dict[int, str]]:
    """Fullpaths of queues and titles of jobs, of those that are still there."""
    queues = await connection.execute(
        select(jobqueues.c.id, jobqueues.c.fullpath).where(jobqueues.c.id.in_(queue_ids))
    )
    titles = await connection.execute(select(jobs.c.id, jobs.c.title).where(jobs.c.id.in_(job_ids)))
    return {row.id: row.fullpath for row in queues}, {row.id: row.title for row in titles}
