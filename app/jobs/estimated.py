"""Jobs with what is expected of them, where it is known: a look-up, and nothing to wait for."""

from typing import Annotated

from fastapi import Depends, Request

from app.jobs.schemas import Job
from app.policy.states import JobState
from app.simulation.estimates import Estimates

OVER = (JobState.DONE, JobState.FAILED)


async def the_estimates(request: Request) -> Estimates:
    estimates: Estimates = request.app.state.estimates
    return estimates


Known = Annotated[Estimates, Depends(the_estimates)]


def estimated(jobs: list[Job], known: Estimates) -> list[Job]:
    """The same jobs; of those that are over nothing is expected."""
    for job in jobs:
        if job.state not in OVER:
            job.position, job.estimate = known.of(job.id)
    return jobs
