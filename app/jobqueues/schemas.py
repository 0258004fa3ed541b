"""Job queues on the wire."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.fields import Fullpath, Id, Limits, Name

PARENT = "The parent queue's id; null: top level"


class _Place(Limits):
    """Where a queue hangs: by its parent's id or by its parent's fullpath, not both."""

    parent_jobqueue_id: Id | None = Field(None, description=PARENT)
    parent: Fullpath | None = Field(None, description="The parent's fullpath; '/': top level")
    prefer_running_jobs: bool = Field(
        False, description="Jobs that run get agents before jobs that have not begun"
    )
    paused: bool = Field(False, description="What runs may finish; nothing new goes out below")

    @model_validator(mode="after")
    def _one_parent(self) -> Self:
        if self.parent is not None and self.parent_jobqueue_id is not None:
            raise ValueError("give either parent or parent_jobqueue_id, not both")
        return self

    @property
    def names_a_parent(self) -> bool:
        return bool({"parent", "parent_jobqueue_id"} & self.model_fields_set)


class JobQueueCreate(_Place):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "lighting", "parent": "/films", "weight": 20, "maximum_agents": 8}
            ]
        }
    )

    name: Name


class JobQueueChange(_Place):
    """Any field; those that are not sent stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"minimum_agents": 2, "maximum_agents": 8}]}
    )

    name: Name = "unchanged"


class JobQueue(BaseModel):
    id: int
    name: str
    fullpath: str = Field(examples=["/films/lighting"])
    parent_jobqueue_id: int | None
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    prefer_running_jobs: bool
    paused: bool
    assigned_agents: int = Field(description="Distinct agents working in or below it")


class QueueBrief(BaseModel):
    id: int
    name: str
    fullpath: str


class JobBrief(BaseModel):
    id: int
    title: str


class JobQueueDetails(JobQueue):
    """A queue with its neighbours: the first 100 of its children and jobs, and how many in all."""

    parent: QueueBrief | None
    children: list[QueueBrief]
    children_total: int
    jobs: list[JobBrief]
    jobs_total: int


class TaskTotals(BaseModel):
    waiting: int
    running: int


class TreeNode(JobQueue):
    """A queue and all below it. The root's id is null, its fullpath '/'."""

    id: int | None  # type: ignore[assignment]  # the root is not stored
    tasks: TaskTotals = Field(description="Tasks of all jobs in or below it")
    jobs: Annotated[int, Field(description="Jobs directly in it")]
    entitled_agents: int | None = Field(
        None,
        description="What it would have by the rules of the agents that are online, of about now;"
        " null: not known yet",
    )
    children: list["TreeNode"]
