"""Why an assignment was made: the walk of that moment, as a line of text beside it.

A step is `node:priority:weight:agents` of whose turn it was, with `!` where it was owed; then,
where there was another, `>rule>` and the same of that. Blanks part the steps, from the top down.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.kinds import owed
from app.policy.pick import start_for
from app.policy.steps import Rule, turns_to
from app.policy.tree import Job, Queue


def why(farm: Farm, agent: Agent, job: Job) -> str:
    """To be called when the job was picked, before the agent is counted to it."""
    start = start_for(farm, agent)
    assert start is not None
    met = farm.kinds.met_by(agent)
    return " ".join(
        _said(turn.first, met)
        + ("" if turn.second is None else f">{turn.rule}>{_said(turn.second, met)}")
        for turn in turns_to(job, met, start)
    )


@dataclass(frozen=True, slots=True)
class Stood:
    """A node as it stood."""

    is_job: bool
    id: int
    priority: int
    weight: int
    assigned: int
    owed: bool


@dataclass(frozen=True, slots=True)
class Chose:
    first: Stood
    second: Stood | None
    rule: Rule | None


def read(text: str) -> Sequence[Chose]:
    """What `why` wrote."""
    return [_chose(step) for step in text.split()]


def _chose(step: str) -> Chose:
    first, *rest = step.split(">")
    if not rest:
        return Chose(_stood(first), None, None)
    return Chose(_stood(first), _stood(rest[1]), Rule(rest[0]))


def _said(node: Queue | Job, met: int) -> str:
    kind = "j" if isinstance(node, Job) else "q"
    mark = "!" if node.standing & owed(met) else ""
    return f"{kind}{node.id}:{node.priority}:{node.weight}:{node.assigned}{mark}"


def _stood(text: str) -> Stood:
    number, priority, weight, assigned = (int(part) for part in text[1:].rstrip("!").split(":"))
    return Stood(text[0] == "j", number, priority, weight, assigned, text.endswith("!"))
