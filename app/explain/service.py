"""Explanations, top to bottom. Those of now are of the farm that the desk keeps and decides by."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.explain import store, words
from app.explain.idle import nothing_for, of_agent
from app.explain.names import Names, word
from app.explain.nodes import explained, steps_of
from app.explain.schemas import (
    AgentBrief,
    AgentExplanation,
    AssignmentExplanation,
    Chosen,
    Code,
    Explanation,
    Node,
    Reason,
)
from app.jobqueues.service import JobQueueNotFound
from app.jobs import reading
from app.policy.made import Chose, read
from app.policy.pick import pick
from app.policy.states import JobState
from app.policy.steps import Stood
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm
from app.scheduler.refusals import AgentNotFound, AssignmentNotFound


async def job(desk: Desk, caller: Caller, job_id: int, agent_id: UUID | None) -> Explanation:
    """Why a job gets no agent, or not this one."""
    async with desk.engine.connect() as connection:  # given back: the desk may need one
        ram = await store.ram(connection)
    kept = await seen(desk, caller)
    found = kept.jobs.get(job_id)
    if found is not None:
        return explained(kept, found.job, agent_id, ram)
    async with desk.engine.connect() as connection:
        return await _over(connection, job_id)


async def queue(desk: Desk, caller: Caller, queue_id: int, agent_id: UUID | None) -> Explanation:
    """Why a queue gets no agent, or not this one."""
    async with desk.engine.connect() as connection:
        ram = await store.ram(connection)
    kept = await seen(desk, caller)
    found = kept.queues.get(queue_id)
    if found is None:
        raise JobQueueNotFound(f"there is no queue with id {queue_id}")
    return explained(kept, found, agent_id, ram)


async def agent(desk: Desk, caller: Caller, agent_id: UUID) -> AgentExplanation:
    """What an agent works on, would get, or why it gets nothing."""
    kept = await seen(desk, caller)
    found = kept.agents.get(agent_id)
    if found is None:
        raise AgentNotFound.of(agent_id)
    names = Names(kept)
    reasons = of_agent(kept, names, agent_id)
    gets = None if reasons else pick(kept.farm, found.facts)
    if gets is not None:
        sentence = f"{found.hostname} gets work of {names.word(gets)} at its next poll"
        reasons = [Reason(code=Code.NEXT, sentence=sentence, where=names.node(gets))]
    elif not reasons:
        reasons = nothing_for(kept, found.facts)
    return AgentExplanation(
        agent=names.agent(agent_id),
        sentence=reasons[0].sentence,
        reasons=reasons,
        gets=None if gets is None else names.node(gets),
        walk=[] if gets is None else steps_of(names, gets, found.facts),
    )


async def seen(desk: Desk, caller: Caller) -> KeptFarm:
    """The farm as it is now; whose token ended by then hears nothing of it, not even a 404."""
    kept = await desk.look()
    caller.must_stand()
    return kept


async def assignment(connection: AsyncConnection, assignment_id: int) -> AssignmentExplanation:
    """Why an assignment was made: the walk of that moment, with the names of today."""
    row = await store.assignment(connection, assignment_id)
    if row is None:
        raise AssignmentNotFound(f"there is no assignment {assignment_id}")
    walk = read(row["why"] or "")
    stood = [one for chose in walk.choices for one in (chose.first, chose.second) if one]
    begun = set() if walk.begun is None else {walk.begun}
    queues, titles = await store.names(
        connection,
        begun | {one.id for one in stood if not one.is_job},
        {one.id for one in stood if one.is_job},
    )
    above = _queue(walk.begun, queues)
    chosen = []
    for chose in walk.choices:
        step = _chosen(above, chose, queues, titles)
        above = step.node
        chosen.append(step)
    return AssignmentExplanation(
        id=assignment_id,
        agent=AgentBrief(id=row["agent_id"], hostname=row["hostname"] or "gone"),
        job=Node(kind="job", id=row["job_id"], name=row["title"] or "deleted"),
        made_at=row["started_at"],
        walk=chosen,
    )


def _queue(queue_id: int | None, queues: Mapping[int, str]) -> Node:
    """With its name of today; None is the root."""
    name = "/" if queue_id is None else queues.get(queue_id, "deleted")
    return Node(kind="queue", id=queue_id, name=name)


def _chosen(
    above: Node, chose: Chose, queues: Mapping[int, str], titles: Mapping[int, str]
) -> Chosen:
    first, second = chose.first, chose.second

    def named(stood: Stood) -> Node:
        if stood.is_job:
            return Node(kind="job", id=stood.id, name=titles.get(stood.id, "deleted"))
        return _queue(stood.id, queues)

    node = named(first)
    other = None if second is None else named(second)
    if second is None or other is None or chose.rule is None:
        sentence = f"it was the turn of {word(node)}, the only one that was open"
    else:
        sentence = words.between(word(node), first, word(other), second, chose.rule)
    return Chosen(
        queue=above,
        node=node,
        priority=first.priority,
        weight=first.weight,
        assigned_agents=first.assigned,
        owed=first.owed,
        other=other,
        rule=chose.rule,
        sentence=sentence,
    )


async def _over(connection: AsyncConnection, job_id: int) -> Explanation:
    """Of a job that is done or failed."""
    found = await reading.get(connection, job_id)
    node = Node(kind="job", id=job_id, name=found.title)
    if found.state is JobState.DONE:
        reason = Reason(code=Code.DONE, sentence="all its tasks are done", where=node)
    else:
        sentence = f"it failed: {found.tasks.failed} of its tasks did, and none is left to do"
        reason = Reason(code=Code.FAILED, sentence=sentence, where=node)
    return Explanation(
        node=node,
        assigned_agents=found.assigned_agents,
        sentence=reason.sentence,
        reasons=[reason],
        change=None,
        agent=None,
        walk=[],
    )
