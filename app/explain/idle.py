"""Why nothing can go out: of a queue, of an agent."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from uuid import UUID

from app.explain.names import Names, listed
from app.explain.schemas import Code, Reason
from app.policy.crew import Crew, census
from app.policy.fit import Agent
from app.policy.obstacles import Obstacles, closed_above
from app.policy.states import AgentState, agent_state
from app.policy.tree import Job, Queue
from app.scheduler.kept import KeptFarm

# Jobs that are looked at; in a queue of more than that most are as these.
LOOKED_AT = 5_000

Cause = tuple[Code, str]

# Of agents that get nothing new whatever waits.
_AWAY = {
    AgentState.DRAINING: Code.AGENT_DRAINING,
    AgentState.DISABLED: Code.AGENT_DISABLED,
    AgentState.OFFLINE: Code.AGENT_OFFLINE,
}

_WORDS = {
    Code.ALL_TASKS_OUT: "with all tasks given out",
    Code.WAITS_FOR_JOBS: "waiting for other jobs",
    Code.PAUSED: "paused",
    Code.CLOSED: "closed by a maximum of 0",
    Code.MAXIMUM: "at a maximum",
    Code.BOUND_ELSEWHERE: "in queues that the agent is not bound to",
    Code.CPUS: "asking for more cpus",
    Code.RAM: "asking for more free memory",
    Code.FAILED_BEFORE: "that it failed and others can still try",
}


def nothing_open(names: Names, queue: Queue) -> Reason:
    """What keeps the jobs below a queue in which nothing is open."""
    jobs = list(islice(_jobs_below(queue), LOOKED_AT))
    if not jobs:
        sentence = f"{names.word(queue)} has no job with a task left to do"
        return Reason(code=Code.NOTHING_OPEN, sentence=sentence, where=names.node(queue))
    counted = Counter(_closed_by(job) for job in jobs).most_common()
    said = ", ".join(f"{number} {words}" for (_, words), number in counted)
    sentence = f"nothing in {names.word(queue)} can go out; jobs: {said}"
    return Reason(code=Code.NOTHING_OPEN, sentence=sentence, where=names.node(queue))


def nothing_for(kept: KeptFarm, agent: Agent) -> list[Reason]:
    """What keeps the jobs of the farm from an agent, the most frequent first."""
    obstacles = Obstacles(agent, kept.farm.online)
    found = map(obstacles.first, (one.job for one in islice(kept.jobs.values(), LOOKED_AT)))
    causes: Counter[Cause] = Counter()
    tags: dict[Cause, list[str]] = {}
    for (obstacle, about), number in Counter(filter(None, found)).items():
        code = Code(obstacle.value)
        cause = (code, _of_tags(code, sorted(about)))
        causes[cause] += number
        tags[cause] = sorted(about)
    if not causes:
        return [Reason(code=Code.NOTHING_OPEN, sentence="no job has a task left to do")]
    return [
        Reason(
            code=cause[0],
            sentence=f"{number} job{'s' * (number != 1)} {cause[1]}",
            tags=tags[cause],
        )
        for cause, number in causes.most_common()
    ]


def no_agents(kept: KeptFarm) -> Reason:
    """Where none is online that may have work."""
    states = Counter(agent_state(one.mode, online=one.online) for one in kept.agents.values())
    draining = states[AgentState.DRAINING]
    if not draining:
        return Reason(code=Code.NO_AGENTS, sentence="no agent is online", agents=0)
    who = (
        "the one agent that is online is" if draining == 1 else f"all {draining} agents online are"
    )
    sentence = f"{who} draining: nothing new goes out"
    return Reason(code=Code.AGENT_DRAINING, sentence=sentence, agents=draining)


def away(kept: KeptFarm, job: Job, ram: Mapping[UUID, int]) -> list[Reason]:
    """Those that could do what waits of the job, and drain, are disabled, or are not there.

    `ram` is how much memory agents have in all, of those that report less than that as free.
    """
    reasons = []
    for state, code in _AWAY.items():
        number = census(job, _of_state(kept, state, ram), kept.farm.online).able
        if number:
            who = "1 agent that could do it is" if number == 1 else f"{number} that could do it are"
            reasons.append(Reason(code=code, sentence=f"{who} {state.value}", agents=number))
    return reasons


def _of_state(kept: KeptFarm, state: AgentState, ram: Mapping[UUID, int]) -> Crew:
    idle, busy = [], []
    for agent in kept.agents.values():
        if agent_state(agent.mode, online=agent.online) is state:
            if agent.held is None:
                idle.append(agent.facts)
            else:
                busy.append((agent.facts, kept.jobs[agent.held.job_id].job))
    return Crew(idle, busy, ram)


def of_agent(kept: KeptFarm, names: Names, agent_id: UUID) -> list[Reason]:
    """What of the agent itself keeps all work from it, the binding reason first."""
    agent = kept.agents[agent_id]
    who = agent.hostname
    state = agent_state(agent.mode, online=agent.online)
    said = {
        AgentState.OFFLINE: (
            Code.AGENT_OFFLINE,
            f"{who} is offline: it said goodbye, or was silent",
        ),
        AgentState.DISABLED: (Code.AGENT_DISABLED, f"{who} is disabled"),
        AgentState.DRAINING: (Code.AGENT_DRAINING, f"{who} is draining: it gets nothing new"),
    }
    reasons = []
    if state in said:
        code, sentence = said[state]
        reasons.append(Reason(code=code, sentence=sentence))
    if agent.held is not None and agent.held.job_id in kept.jobs:
        word = names.word(kept.jobs[agent.held.job_id].job)
        sentence = f"{who} works on {word} (assignment {agent.held.id})"
        reasons.append(Reason(code=Code.AGENT_BUSY, sentence=sentence, jobs=[agent.held.job_id]))
    return reasons


def _closed_by(job: Job) -> Cause:
    code = Code(closed_above(job)[0].obstacle.value)
    return code, _WORDS[code]


def _of_tags(code: Code, tags: Iterable[str]) -> str:
    if code is Code.TAGS_MISSING:
        return f"asking for the tags {listed(tags)}"
    if code is Code.TAGS_EXCLUDED:
        return f"excluding the tags {listed(tags)}"
    return _WORDS[code]


def _jobs_below(queue: Queue) -> Iterator[Job]:
    rest: list[Queue | Job] = [queue]
    while rest:
        at = rest.pop()
        if isinstance(at, Job):
            yield at
        else:
            rest.extend(at.children)
