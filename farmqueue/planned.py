"""Plans as the service gives them: what is different between a file and the tree."""

from typing import Any, Literal, TypedDict


class BeforeAndAfter(TypedDict):
    before: Any
    after: Any


class QueueEdit(TypedDict):
    """What is done to one queue; `fields` are its settings that change."""

    action: Literal["create", "change", "move", "delete"]
    path: str
    id: int | None
    moved_from: str | None
    fields: dict[str, BeforeAndAfter]


class Shift(TypedDict):
    """A queue that is entitled to more agents than before, or to fewer."""

    path: str
    id: int | None
    assigned_agents: int
    before: int
    after: int


class Blocked(TypedDict):
    """A queue that cannot go as long as it has jobs."""

    path: str
    id: int
    jobs: int
    detail: str


class Plan(TypedDict):
    """The difference between a file and the tree."""

    fingerprint: str
    root: str
    changes: list[QueueEdit]
    blocked: list[Blocked]
    unlisted: list[str]
    unlisted_total: int
    agents: int | None
    entitled: list[Shift] | None
