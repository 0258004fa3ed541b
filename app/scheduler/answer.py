"""An assignment as its agent is told of it."""

from collections.abc import Mapping

from app.policy.frames import parse, plain_number
from app.policy.task_ids import task_id
from app.scheduler import leases
from app.scheduler.kept import Holding, KeptFarm
from app.scheduler.schemas import AssignedTask, Assignment
from app.settings import Settings


def answer(
    kept: KeptFarm,
    settings: Settings,
    holding: Holding,
    attempts: Mapping[int, int],
) -> Assignment:
    """The unfinished tasks (ordinal: its attempt) of what the agent holds, and has a lease for."""
    lease = kept.agents[holding.agent_id].lease
    assert lease is not None
    job = kept.jobs[holding.job_id].job
    frames = parse(job.frames)
    return Assignment(
        id=holding.id,
        agent_id=holding.agent_id,
        lease_expires_at=lease.until,
        lease_seconds=leases.at_least(settings.lease_seconds),
        heartbeat_seconds=settings.heartbeat_seconds,
        job=kept.told[holding.job_id],
        tasks=[
            AssignedTask(
                id=task_id(job.id, ordinal),
                frame=plain_number(frames[ordinal // job.num_tiles]),
                tile=ordinal % job.num_tiles,
                attempt=attempt,
            )
            for ordinal, attempt in attempts.items()
        ],
    )
