"""Which job an agent works on next: for one state and one agent there is one right answer.

From the root down, the walk goes into the open child whose turn it is, owed ones before all others.
"""

from app.policy.batch import take, takes_any
from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.kinds import owed
from app.policy.tree import Job, Queue, path


def pick(farm: Farm, agent: Agent) -> Job | None:
    """The job whose turn it is for this agent, None where nothing is open for it.

    A job may be open for the agent's kind, yet not for the agent: it failed all that waits there.
    The walk does not know; where it ends at such a job, that is closed and the walk begun anew.
    One that ends elsewhere is right: what it passed over comes later or is closed all the same.
    """
    closed: list[Job] = []
    try:
        return find(farm, agent, closed)
    finally:
        for each in closed:
            farm.settle(each)


def find(farm: Farm, agent: Agent, closed: list[Job]) -> Job | None:
    """As `pick`; jobs that the agent is barred from stay closed, and are added to `closed`."""
    begins = start(farm, agent.within)
    if begins is None:
        return None
    met = farm.kinds.met_by(agent)
    job = _walk(begins, met)
    while job is not None and not takes_any(job, agent, farm.online.values()):
        farm.close(job)
        closed.append(job)
        job = _walk(begins, met)
    return job


def assign(farm: Farm, agent: Agent) -> tuple[Job, list[int]] | None:
    """Pick for the agent, and count it: the ordinals of its tasks no longer wait."""
    job = pick(farm, agent)
    return None if job is None else (job, give(farm, agent, job))


def give(farm: Farm, agent: Agent, job: Job) -> list[int]:
    """Count the agent to the job that was picked for it: the ordinals that no longer wait."""
    ordinals = take(job, agent, farm.online.values())
    farm.count(job, 1)
    return ordinals


def start(farm: Farm, within: int | None) -> Queue | None:
    """The root; the queue that an agent is bound to, if nothing on the way there is closed."""
    if within is None:
        return farm.root
    queue = farm.queues.get(within)
    if queue is None or any(node.paused or node.full for node in path(queue)):
        return None
    return queue


def _walk(begins: Queue, met: int) -> Job | None:
    node: Queue | Job = begins
    while isinstance(node, Queue):
        here = node.line.standing
        if here & owed(met):
            node = node.line.first(owed(met))
        elif here & met:
            node = node.line.first(met)
        else:
            return None  # at the start only: whatever is in a line has something for someone of it
    return node
