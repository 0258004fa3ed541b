"""Facts of the policy as sentences. What is said here was found there."""

from collections.abc import Mapping

from app.explain.names import Names, listed
from app.explain.schemas import Code, Reason
from app.policy.changes import Change
from app.policy.crew import Census
from app.policy.obstacles import Closed, Obstacle, Unfit
from app.policy.steps import Rule, Step, Stood
from app.policy.tree import Job

_OF_TURN: Mapping[Rule, Code] = {
    Rule.MINIMUM: Code.MINIMUM_FIRST,
    **{rule: Code(rule.value) for rule in Rule if rule is not Rule.MINIMUM},
}


def closed(names: Names, found: Closed, parents: Mapping[int, bool]) -> Reason:
    """`parents` are the jobs that the job waits for, by id; True: that one failed."""
    node, where, word = found.node, names.node(found.node), names.word(found.node)
    if found.obstacle is Obstacle.WAITS_FOR_JOBS:
        failed = sorted(parent for parent, has_failed in parents.items() if has_failed)
        waited_for = failed or sorted(parents)
        jobs = f"job{'s' * (len(waited_for) > 1)} {listed(waited_for)}"
        code = Code.PARENT_FAILED if failed else Code.WAITS_FOR_JOBS
        sentence = f"{word} waits for {jobs}" + (", which failed" if failed else "")
        return Reason(code=code, sentence=sentence, where=where, jobs=waited_for)
    sentences = {
        Obstacle.ALL_TASKS_OUT: f"no task of {word} waits: those that are left are with agents",
        Obstacle.PAUSED: f"{word} is paused",
        Obstacle.CLOSED: f"{word} is closed: its maximum_agents is 0",
        Obstacle.MAXIMUM: f"{word} has its maximum: {node.assigned} of {node.maximum} agents",
    }
    code = Code(found.obstacle.value)
    return Reason(code=code, sentence=sentences[found.obstacle], where=where)


def lacking(found: Unfit, job: Job, who: str) -> Reason:
    """What agents lack; `who` names them, or says how many they are."""
    asked, tags = job.requirements, sorted(found.tags)
    named = f"tag{'s' * (len(tags) > 1)} {listed(tags)}"
    lacks = {
        Obstacle.BOUND_ELSEWHERE: "bound to a queue elsewhere",
        Obstacle.TAGS_MISSING: f"without the {named}",
        Obstacle.TAGS_EXCLUDED: f"with the excluded {named}",
        Obstacle.CPUS: f"fewer than {asked.cpus} cpus",
        Obstacle.RAM: f"less than {asked.ram} MB free",
        Obstacle.FAILED_BEFORE: "failed what waits of it, which others can still try",
    }
    sentence = f"{lacks[found.obstacle]}: {who}"
    code = Code(found.obstacle.value)
    return Reason(code=code, sentence=sentence, agents=found.agents, tags=tags)


def busy(census: Census) -> list[Reason]:
    """Where no agent is free that could do it."""
    number = len(census.busy)
    if census.idle or not number:
        return []
    who = "the one agent that can do it is" if number == 1 else f"all {number} that can do it are"
    return [Reason(code=Code.ALL_BUSY, sentence=f"{who} busy", agents=number)]


def lost(names: Names, step: Step) -> Reason | None:
    """Where another goes first: that, and by which rule."""
    if step.place in {None, 1} or step.rule is None:
        return None
    where = names.node(step.node)
    return Reason(code=_OF_TURN[step.rule], sentence=step_said(names, step), where=where)


def step_said(names: Names, step: Step) -> str:
    """How the way goes on at a queue."""
    word, (mine, theirs) = names.word(step.node), step.stood
    if step.place is None:
        return f"{word} is not open for the agent"
    if step.rule is None or step.other is None or theirs is None:
        return f"it is the turn of {word}, the only one that is open"
    other = names.word(step.other)
    if step.place == 1:
        return between(word, mine, other, theirs, step.rule)
    return between(other, theirs, word, mine, step.rule)


def between(word: str, first: Stood, other_word: str, other: Stood, rule: Rule) -> str:
    """Why one goes before another, and the numbers that say so."""
    because = {
        Rule.MINIMUM: f"with {_agents(first)}, it or something in it is below its minimum",
        Rule.PRIORITY: f"priority {first.priority} against {other.priority}",
        Rule.RUNNING_FIRST: f"it has {_agents(first)}, {other_word} none yet",
        Rule.LEFTOVERS: f"{other_word} has weight 0 and gets what the others leave",
        Rule.SHARE: f"its share is smaller, {_share(first)} against {_share(other)}",
        Rule.WEIGHT: f"at the same share it weighs more, {first.weight} against {other.weight}",
        Rule.JOB_FIRST: "all else being equal, a job goes before a queue",
        Rule.OLDER: "all else being equal, it is older",
    }
    return f"{word} goes before {other_word}: {because[rule]}"


def _agents(node: Stood) -> str:
    return f"{node.assigned} agent{'s' * (node.assigned != 1)}"


def _share(node: Stood) -> str:
    """As in 3/10: three agents on a weight of ten."""
    return f"{node.assigned}/{node.weight}" if node.weight else f"{node.assigned}"


_FIELDS = {"minimum": "minimum_agents", "maximum": "maximum_agents"}


def change_body(change: Change) -> dict[str, object]:
    """The change as the service's own routes take it."""
    value = sorted(change.value) if isinstance(change.value, frozenset) else change.value
    return {_FIELDS.get(change.field, change.field): value}


def change_said(names: Names, change: Change) -> str:
    word = names.word(change.node)
    ((field, value),) = change_body(change).items()
    if field == "paused":
        return f"resume {word}"
    if isinstance(value, list):
        return f"let {field} of {word} be {', '.join(value) if value else 'empty'}"
    return f"set {field} of {word} to {value}"
