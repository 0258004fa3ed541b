"""Which of a job's waiting tasks go out together."""

from collections.abc import Collection, Iterator
from itertools import islice
from uuid import UUID

from app.policy.fit import Agent, everyone_failed
from app.policy.tree import Job, Queue, path

NOBODY: frozenset[UUID] = frozenset()


AllFailed = dict[frozenset[UUID], bool]


def takes_any(
    job: Job, agent: Agent, online: Collection[Agent], known: AllFailed | None = None
) -> bool:
    """A task is waiting that the agent may take.

    Who asks for many agents has what is `known` of those that failed a task kept from one to the
    next: that they are all that could do it.
    """
    if not job.failed_by:
        return bool(job.waiting)
    return next(_takeable(job, agent, online, known), None) is not None


def next_batch(job: Job, agent: Agent, online: Collection[Agent]) -> list[int]:
    """Ordinals of up to `batch` waiting tasks that the agent may take, by frame, then tile.

    With `batch_contiguous` it stops at the first gap between frames; the tiles of one frame are no
    gap.
    """
    chosen: list[int] = []
    for ordinal in islice(_takeable(job, agent, online), job.batch):
        if job.batch_contiguous and chosen and _gap(job, chosen[-1], ordinal):
            break
        chosen.append(ordinal)
    return chosen


def take(job: Job, agent: Agent, online: Collection[Agent]) -> list[int]:
    """The next batch, which waits no longer; a task is waiting that the agent may take."""
    if job.batch == 1 and not job.failed_by:
        return [job.waiting.pop()]
    ordinals = next_batch(job, agent, online)
    job.waiting.remove(ordinals)
    return ordinals


def _takeable(
    job: Job, agent: Agent, online: Collection[Agent], known: AllFailed | None = None
) -> Iterator[int]:
    """Ordinals that wait, without those that the agent failed while another could still try."""
    all_failed = {} if known is None else known  # many tasks were failed by the same agents
    for ordinal in job.waiting:
        failed_by = job.failed_by.get(ordinal, NOBODY)
        if agent.id not in failed_by:
            yield ordinal
            continue
        if failed_by not in all_failed:
            able = (other for other in online if serves(other, job))
            all_failed[failed_by] = everyone_failed(failed_by, job.requirements, able)
        if all_failed[failed_by]:
            yield ordinal


def serves(agent: Agent, job: Job) -> bool:
    """It is not bound to a queue elsewhere."""
    if agent.within is None:
        return True
    return any(isinstance(node, Queue) and node.id == agent.within for node in path(job))


def _gap(job: Job, last: int, following: int) -> bool:
    distance = job.frame(following) - job.frame(last)
    return distance not in (0, job.by)
