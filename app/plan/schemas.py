"""The file and the plan on the wire."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.fields import Body, Fullpath, Id, Limits, Name

MOST_QUEUES = 20_000


class QueueSettings(Limits):
    """What a file says of one queue itself; what is left out has its default, but for `paused`."""

    id: Id | None = Field(
        None, description="The queue that this is, wherever it is now: so a queue is moved"
    )
    moved_from: Fullpath | None = Field(
        None, description="The path that it has now; once it is here, it says nothing"
    )
    prefer_running_jobs: bool = Field(
        False, description="Jobs that run get agents before jobs that have not begun"
    )
    paused: bool | None = Field(
        None, description="What runs may finish; nothing new goes out below. Left out: as it is now"
    )

    def settings(self) -> dict[str, Any]:
        """Those of the queue, without what is to stay as it is."""
        said = self.model_dump(exclude={"id", "moved_from", "queues"})
        if self.paused is None:
            del said["paused"]
        return said


class QueueInFile(QueueSettings):
    """A queue, with those below it by their names."""

    queues: dict[Name, "QueueInFile | None"] | None = Field(
        None, description="The queues below it, by name"
    )


class TreeFile(Body):
    """Queues by their names, each with those below it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "root": "/",
                    "queues": {
                        "films": {"weight": 60, "queues": {"hero": {"minimum_agents": 2}}},
                        "tv": {"weight": 30, "moved_from": "/series"},
                    },
                }
            ]
        }
    )

    root: Fullpath = Field(
        "/", description="The file is about what is below this queue, and touches nothing else"
    )
    queues: dict[Name, QueueInFile | None] | None = Field(
        None, description="The queues below the root, by name"
    )


class BeforeAndAfter(BaseModel):
    before: Any
    after: Any


class QueueEdit(BaseModel):
    """What is done to one queue."""

    action: Literal["create", "change", "move", "delete"] = Field(
        description="`move`: it has another name or another parent, and maybe other settings too"
    )
    path: str = Field(description="Its path afterwards; of one that goes, the last it had")
    id: int | None = Field(description="null: it is new")
    moved_from: str | None = Field(None, description="Its path before, where it moves")
    fields: dict[str, BeforeAndAfter] = Field(description="The settings that change; all of a new")


class Shift(BaseModel):
    """A queue that is entitled to more agents, or to fewer."""

    path: str = Field(description="Its path afterwards; of one that goes, the last it had")
    id: int | None = Field(description="null: it is new")
    assigned_agents: int = Field(description="Agents working in or below it now")
    before: int
    after: int


class Blocked(BaseModel):
    """A queue that cannot go as long as it has jobs."""

    path: str
    id: int
    jobs: int
    detail: str = Field(description="What to do")


class Plan(BaseModel):
    """The difference between a file and the farm."""

    fingerprint: str = Field(
        description="Of the file, and of the farm as it was: send it to apply just this plan"
    )
    root: str
    changes: list[QueueEdit] = Field(description="In the order in which they are done")
    blocked: list[Blocked] = Field(description="Why it cannot be applied; empty: it can")
    unlisted: list[str] = Field(
        description="Queues below the root that the file does not name: they stay; the first 1,000"
    )
    unlisted_total: int
    agents: int | None = Field(
        description="So many are shared out: those that are online, or as asked; null: none"
    )
    entitled: list[Shift] | None = Field(
        description="Queues that win or lose agents of these by the change; null: not asked"
    )
