"""Why an assignment was made: the walk of that moment, as a line of text beside it.

A step is `node:priority:weight:agents` of whose turn it was, with `!` where it was owed; then,
where there was another, `>rule>` and the same of that. Blanks part the steps, from the top down.
Before them stands `@queue` where the agent is bound to a queue: the walk began there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.kinds import owed
from app.policy.steps import Rule, Stood, rule_between, second_at
from app.policy.tree import Job, Queue


def why(farm: Farm, agent: Agent, job: Job) -> str:
    """To be called when the job was picked, before the agent is counted to it."""
    met = farm.kinds.met_by(agent)
    steps: list[str] = []
    at: Queue | Job = job
    while (queue := at.parent) is not None and not _begins_at(at, agent):
        second = second_at(queue, at, met)
        if second is None:
            steps.append(_said(at, met))
        else:
            rule = rule_between(at, second, met).value
            steps.append(f"{_said(at, met)}>{rule}>{_said(second, met)}")
        at = queue
    if at.parent is not None:
        steps.append(f"@{at.id}")
    return " ".join(reversed(steps))


def _begins_at(node: Queue | Job, agent: Agent) -> bool:
    """The walk of an agent that is bound to a queue begins there."""
    return isinstance(node, Queue) and node.id == agent.within


@dataclass(frozen=True, slots=True)
class Chose:
    first: Stood
    second: Stood | None
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Walk:
    """`begun` is the id of the queue that it began at, None for the root."""

    begun: int | None
    choices: Sequence[Chose]


def read(text: str) -> Walk:
    """What `why` wrote."""
    steps = text.split()
    begun = int(steps.pop(0)[1:]) if text.startswith("@") else None
    return Walk(begun, [_chose(step) for step in steps])


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
