"""Why a job or a queue gets no agent, from the farm that the desk keeps: the same that decides."""

from collections.abc import Mapping
from uuid import UUID

from app.explain import words
from app.explain.idle import away, no_agents, nothing_open, of_agent
from app.explain.names import Names
from app.explain.schemas import Candidate, Change, Code, Explanation, Reason, Step
from app.policy import steps
from app.policy.crew import Crew
from app.policy.fit import Agent
from app.policy.obstacles import Obstacle, Unfit, unfit
from app.policy.states import Mode
from app.policy.tree import Job, Queue
from app.policy.verdict import NOBODY, Verdict, verdict, way
from app.scheduler.kept import KeptFarm
from app.scheduler.refusals import AgentNotFound

# The order in which closures bind: what no operator's limit could help comes first.
_BINDING = {obstacle: place for place, obstacle in enumerate(Obstacle)}


def explained(
    kept: KeptFarm, node: Queue | Job, agent_id: UUID | None, ram: Mapping[UUID, int]
) -> Explanation:
    """Of the farm as it is now; `agent_id` asks why not this agent. `AgentNotFound`.

    `ram` is how much memory agents have in all, of those that report less than that as free.
    """
    crew = crew_of(kept, ram)
    found = verdict(kept.farm, node, crew, _asked(kept, agent_id))
    names = Names(kept)
    reasons = _reasons(kept, names, found, ram, asked=agent_id is not None)
    return Explanation(
        node=names.node(node),
        assigned_agents=node.assigned,
        sentence=reasons[0].sentence,
        reasons=reasons,
        change=_change(names, found),
        agent=None if found.agent.id == NOBODY else names.agent(found.agent.id),
        walk=[step_of(names, step) for step in found.steps],
    )


def crew_of(kept: KeptFarm, ram: Mapping[UUID, int]) -> Crew:
    """The agents that are online and may have work; busy ones with their jobs."""
    idle, busy, enabled = [], [], Mode.ENABLED.value
    for agent in kept.agents.values():
        if agent.online and agent.mode == enabled:
            if agent.held is None:
                idle.append(agent.facts)
            else:
                busy.append((agent.facts, kept.jobs[agent.held.job_id].job))
    return Crew(idle, busy, ram)


def steps_of(names: Names, node: Queue | Job, agent: Agent) -> list[Step]:
    """The agent's way to the node."""
    return [step_of(names, step) for step in way(names.kept.farm, agent, node)]


def step_of(names: Names, step: steps.Step) -> Step:
    return Step(
        queue=names.node(step.queue),
        node=names.node(step.node),
        candidates=step.candidates,
        owed=step.owed,
        place=step.place,
        other=None if step.other is None else names.node(step.other),
        rule=step.rule,
        sentence=words.step_said(names, step),
        in_turn=[
            Candidate(
                node=names.node(one),
                priority=stood.priority,
                weight=stood.weight,
                assigned_agents=stood.assigned,
                owed=stood.owed,
            )
            for one, stood in step.in_turn
        ],
    )


def _asked(kept: KeptFarm, agent_id: UUID | None) -> Agent | None:
    if agent_id is None:
        return None
    if agent_id not in kept.agents:
        raise AgentNotFound.of(agent_id)
    return kept.agents[agent_id].facts


def _reasons(
    kept: KeptFarm, names: Names, found: Verdict, ram: Mapping[UUID, int], *, asked: bool
) -> list[Reason]:
    """All that is in the way, the binding one first; or that nothing is."""
    node = found.node
    closed = sorted(found.closed, key=lambda one: _BINDING[one.obstacle])
    reasons = [words.closed(names, one, _parents(kept, one.node)) for one in closed]
    if isinstance(node, Queue) and not node.line.standing:
        reasons.append(nothing_open(names, node))
    lacks = _lacks(kept, names, found, asked=asked)
    if asked:
        reasons = [*of_agent(kept, names, found.agent.id), *reasons, *lacks]
    elif not kept.farm.online:
        reasons.append(no_agents(kept))
    else:
        reasons += words.busy(found.census) if found.census.able else lacks
        if isinstance(node, Job) and not found.census.able:
            reasons += away(kept, node, ram)
    if found.gets:
        reasons.append(_next(names, found))
    else:
        reasons += filter(None, (words.lost(names, step) for step in found.steps))
    if not asked and found.census.able:
        reasons += lacks
    return reasons or [_fits_nobody(kept, names, found, asked=asked)]


def _fits_nobody(kept: KeptFarm, names: Names, found: Verdict, *, asked: bool) -> Reason:
    """Something is open in a queue, and not for these agents."""
    word = names.word(found.node)
    if asked:
        who = names.agent(found.agent.id).hostname
        sentence = f"what is open in {word} is not for {who}"
        return Reason(code=Code.NO_AGENT_FITS, sentence=sentence, where=names.node(found.node))
    online = len(kept.farm.online)
    sentence = f"what is open in {word} can be done by none of the agents online, {online} in all"
    where = names.node(found.node)
    return Reason(code=Code.NO_AGENT_FITS, sentence=sentence, where=where, agents=online)


def _parents(kept: KeptFarm, node: Queue | Job) -> Mapping[int, bool]:
    """The jobs that a job waits for; True for those that failed: no task of them is left to do."""
    waited_for = kept.jobs[node.id].parents if isinstance(node, Job) else ()
    return {parent: parent not in kept.jobs for parent in waited_for}


def _lacks(kept: KeptFarm, names: Names, found: Verdict, *, asked: bool) -> list[Reason]:
    if not isinstance(found.node, Job):
        return []
    job, online = found.node, kept.farm.online
    if not asked:
        return [
            words.lacking(one, job, f"{one.agents} of {len(online)} agents")
            for one in found.census.unfit
        ]
    who = names.agent(found.agent.id).hostname
    lacks = unfit(found.agent, job, online.values())
    return [words.lacking(Unfit(obstacle, 1, tags), job, who) for obstacle, tags in lacks]


def _next(names: Names, found: Verdict) -> Reason:
    word = names.word(found.node)
    who = names.agent(found.agent.id).hostname
    when = "at its next poll" if found.frees is None else "once it is free"
    return Reason(code=Code.NEXT, sentence=f"{who} gets work of {word} {when}", agents=1)


def _change(names: Names, found: Verdict) -> Change | None:
    change = found.change
    if change is None:
        return None
    told = Change(
        path=f"/jobqueues/{change.node.id}",
        body=words.change_body(change),
        sentence=words.change_said(names, change),
        at_once=found.change_frees is None,
    )
    if isinstance(change.node, Job):
        told.path = f"/jobs/{change.node.id}"
        if change.field == "paused":
            told.method, told.path, told.body = "POST", f"{told.path}/resume", {}
    return told
