"""Polls, reports and assignments on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.fields import Body, Count, Id, Text
from app.policy.states import Said

MAX_RESULTS = 10_000
MAX_ERROR = 16_384
MAX_WAIT = 60.0

# The agent of a poll that names none: the one whose token it came with.
UNNAMED = UUID(int=0)

# JSON has no UUID and no enum: their text is read as one.
AgentId = Annotated[UUID, Field(strict=False)]
SaidOfTask = Annotated[Said, Field(strict=False)]


class Result(Body):
    """What became of one task."""

    task_id: Id
    state: SaidOfTask = Field(description="`running` reports progress; the others end the task")
    progress: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = None
    error: Annotated[
        Text | None,
        Field(max_length=MAX_ERROR, description="Why it failed: the tail of its output"),
    ] = None


Results = Annotated[list[Result], Field(max_length=MAX_RESULTS)]


class AssignRequest(Body):
    """A poll. `results` reports the tasks of the agent's present assignment on the way."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"agent_id": "5f0c9a52-6c1e-4b3e-9d0a-2f4f5a1c7e11", "wait": 30},
                {
                    "agent_id": "5f0c9a52-6c1e-4b3e-9d0a-2f4f5a1c7e11",
                    "assignment_id": 7,
                    "results": [{"task_id": 1048576, "state": "done"}],
                },
            ]
        }
    )

    agent_id: AgentId = Field(
        default_factory=lambda: UNNAMED, description="May be left out with an agent's own token"
    )
    wait: Annotated[
        float,
        Field(ge=0, le=MAX_WAIT, allow_inf_nan=False, description="Seconds to wait for work"),
    ] = 0.0
    free_ram: Count | None = Field(None, description="Free memory in MB, as of now")
    assignment_id: Id | None = Field(
        None,
        description="The assignment that `results` belong to. Send it: a report that is repeated "
        "after a lost answer then never counts for a later assignment of the same tasks",
    )
    results: Results = Field(default_factory=list)


class ResultsReport(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "results": [
                        {"task_id": 1048576, "state": "done"},
                        {"task_id": 1048577, "state": "running", "progress": 0.4},
                        {"task_id": 1048578, "state": "failed", "error": "exit code 1"},
                    ]
                }
            ]
        }
    )

    results: Annotated[list[Result], Field(min_length=1, max_length=MAX_RESULTS)]


class AssignedJob(BaseModel):
    id: int
    title: str
    data: Any = Field(description="As it was submitted")
    environ: dict[str, str]
    cpus: int
    ram: int = Field(description="MB")
    batch: int
    queue: str | None = Field(description="Fullpath; null: at the root", examples=["/films/hero"])


class AssignedTask(BaseModel):
    id: int
    frame: int | float
    tile: int
    attempt: int = Field(description="1 for the first")


class Assignment(BaseModel):
    """Work for one agent: its unfinished tasks, in order of frame, then tile."""

    id: int
    agent_id: UUID
    lease_expires_at: datetime = Field(description="By the database's clock; calls renew it")
    lease_seconds: float = Field(
        description="What the agent may count on, from when it sent this call; one that waited: "
        "from a heartbeat that it sends before it begins. A twentieth less than a lease, which is "
        "not written anew with every call"
    )
    heartbeat_seconds: float = Field(description="Call at least so often")
    job: AssignedJob
    tasks: list[AssignedTask]


class AssignmentStatus(BaseModel):
    """An assignment after a report or a release."""

    id: int
    active: bool = Field(description="False: each of its tasks has ended, or it was given back")
