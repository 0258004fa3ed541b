"""Explanations as the service gives them: why something runs, or does not."""

from typing import Any, Literal, NotRequired, TypedDict


class Named(TypedDict):
    """A queue (`name` is its fullpath) or a job (its title)."""

    kind: Literal["queue", "job"]
    id: int | None
    name: str


class Reason(TypedDict):
    """`code` is for programs and stays, `sentence` for people."""

    code: str
    sentence: str
    where: Named | None
    agents: int | None
    tags: list[str]
    jobs: list[int]


class Candidate(TypedDict):
    """A child that is open, with the numbers that rules go by; owed ones come before others."""

    node: Named
    priority: int
    weight: int
    assigned_agents: int
    owed: bool


class Step(TypedDict):
    """What was, or would be, decided at one queue.

    Of the past there is neither `candidates` nor `place` nor `in_turn`, and `owed` is of the node.
    """

    queue: Named
    node: Named
    candidates: NotRequired[int]
    owed: int
    place: NotRequired[int | None]
    in_turn: NotRequired[list[Candidate]]
    other: Named | None
    rule: str | None
    sentence: str


class Change(TypedDict):
    """One call after which the work goes out, `at_once` or when the next agent is free."""

    method: Literal["PATCH"]
    path: str
    body: dict[str, Any]
    sentence: str
    at_once: bool


class AgentName(TypedDict):
    id: str
    hostname: str


class Explanation(TypedDict):
    """Of a job, a queue, an agent or an assignment."""

    walk: list[Step]
    agent: AgentName | None
    sentence: NotRequired[str]
    reasons: NotRequired[list[Reason]]
    change: NotRequired[Change | None]
