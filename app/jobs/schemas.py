"""Jobs and tasks on the wire."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from app.fields import Body, Count, FreeJson, Fullpath, Id, Limits, Tags, Text, Title
from app.policy.frames import DIGITS, LARGEST, plain_number
from app.policy.states import JobState, TaskState
from app.ranges import MAX_INT, MAX_TASKS
from app.simulation.answers import Estimate

MAX_BATCH = 10_000
MAX_ENVIRON = 1_000
MAX_PARENTS = 1_000
MAX_SUBMITTED = 1_000
MAX_FRAMES_TEXT = 200_000


def _exact(number: Any) -> Any:
    """0.1 as the decimal that was written, not as the binary fraction next to it."""
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        raise ValueError("must be a number")  # noqa: TRY004  # a TypeError would be a 500
    return Decimal(str(number))


def _distinct(ids: list[int]) -> list[int]:
    return sorted(set(ids))


Frame = Annotated[
    Decimal,
    Field(ge=-LARGEST, le=LARGEST, decimal_places=DIGITS),
    BeforeValidator(_exact),
    PlainSerializer(plain_number, return_type=int | float, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": -int(LARGEST), "maximum": int(LARGEST)}),
]
Step = Annotated[
    Frame,
    Field(gt=0),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": int(LARGEST)}),
]
EnvironName = Annotated[Text, StringConstraints(min_length=1, max_length=255, pattern="^[^=]*$")]
# No system passes on much more in one string (Linux 128 kB, Windows 32,767 characters).
EnvironValue = Annotated[Text, StringConstraints(max_length=32_767)]
Environ = Annotated[
    dict[EnvironName, EnvironValue],
    Field(max_length=MAX_ENVIRON, description="Environment variables of the work"),
]
Parents = Annotated[
    list[Id],
    Field(max_length=MAX_PARENTS, description="Jobs that must be done before this one runs"),
    AfterValidator(_distinct),
]
Index = Annotated[int, Field(ge=0, lt=MAX_SUBMITTED)]


class _Settings(Limits):
    """What may be said of a job at any time; memory in MB."""

    job_queue_id: Id | None = Field(None, description="Its queue; null: the root")
    queue: Fullpath | None = Field(None, description="Its queue's fullpath instead; '/': the root")
    batch: int = Field(1, ge=1, le=MAX_BATCH, description="Tasks that go out together, at most")
    batch_contiguous: bool = Field(True, description="A batch stops at the first gap in the frames")
    requeue: int = Field(
        3, ge=-1, le=MAX_INT, description="Times that a failed task is tried again; -1: forever"
    )
    cpus: Count = Field(1, description="Cpus that an agent must have")
    ram: Count = Field(32, description="Free memory that an agent must have")
    required_tags: Tags = Field([], description="Tags that an agent must have, all of them")
    excluded_tags: Tags = Field([], description="Tags that an agent must not have, none of them")
    parents: Parents = Field([])
    environ: Environ = Field({})
    data: FreeJson = Field(
        None,
        description="Free JSON, which the agent gets as it is",
        examples=[{"command": ["render", "--frame", "{frame}"]}],
    )

    @field_validator("queue")
    @classmethod
    def _one_queue(cls, queue: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("job_queue_id") is not None:
            raise ValueError("give either queue or job_queue_id, not both")
        return queue

    @field_validator("excluded_tags")
    @classmethod
    def _apart(cls, excluded: list[str], info: ValidationInfo) -> list[str]:
        return apart(info.data.get("required_tags", []), excluded)


def apart(required: list[str], excluded: list[str]) -> list[str]:
    """The excluded tags, if none of them is required as well; else `ValueError`."""
    both = sorted(set(required) & set(excluded))
    if both:
        raise ValueError(f"{both[0]!r} is both required and excluded: no agent could take the job")
    return excluded


class JobCreate(_Settings):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "hero 010 beauty",
                    "queue": "/films/hero",
                    "start": 1,
                    "end": 240,
                    "batch": 5,
                    "required_tags": ["gpu"],
                    "data": {
                        "command": ["render", "hero.blend", "{first}", "{last}"],
                        "per": "batch",
                    },
                },
                {"title": "retakes", "frames": "1-10x2,20", "data": None},
            ]
        }
    )

    title: Title
    start: Frame | None = Field(None, description="First frame")
    end: Frame | None = Field(None, description="Last frame, at most")
    by: Step = Field(Decimal(1), description="From one frame to the next")
    frames: Annotated[Text, StringConstraints(max_length=MAX_FRAMES_TEXT)] | None = Field(
        None, description="Frame ranges, in place of start, end and by", examples=["1-10x2,20"]
    )
    num_tiles: int = Field(1, ge=1, le=MAX_TASKS, description="Tasks for each frame")
    paused: bool = Field(False, description="Nothing goes out until it is resumed")


class BatchJob(JobCreate):
    after: list[Index] = Field(
        [],
        max_length=MAX_SUBMITTED,
        description="Places in this batch (from 0) of earlier jobs that are parents of this one",
    )


class JobBatch(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "jobs": [
                        {"title": "render", "queue": "/films", "start": 1, "end": 100},
                        {"title": "encode", "queue": "/films", "frames": "1", "after": [0]},
                    ]
                }
            ]
        }
    )

    jobs: list[BatchJob] = Field(min_length=1, max_length=MAX_SUBMITTED)


class JobChange(_Settings):
    """Any field but the frames; those that are not sent stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"priority": 50, "maximum_agents": 8, "queue": "/films"}]}
    )

    title: Title = "unchanged"


class Pause(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"stop": True}]})

    stop: bool = Field(False, description="Take back what runs, at once")


class TaskCounts(BaseModel):
    waiting: int
    running: int
    done: int
    failed: int


class BlockingJob(BaseModel):
    """A parent that is not done."""

    id: int
    title: str
    state: JobState


class Job(BaseModel):
    id: int
    title: str = Field(examples=["hero 010 beauty"])
    state: JobState
    reason: str | None = Field(
        description="Why it stays queued", examples=["waits for job 12, which failed"]
    )
    paused: bool
    job_queue_id: int | None
    queue: str | None = Field(description="Its queue's fullpath", examples=["/films/hero"])
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    start: Frame = Field(examples=[1])
    end: Frame = Field(examples=[240])
    by: Frame = Field(examples=[1])
    frames: str = Field(examples=["1-240"])
    num_tiles: int
    batch: int
    batch_contiguous: bool
    requeue: int
    cpus: int
    ram: int
    required_tags: list[str]
    excluded_tags: list[str]
    parents: list[int]
    blocked_by: list[BlockingJob] = Field(description="Its parents that are not done")
    environ: dict[str, str]
    data: Any
    assigned_agents: int
    tasks: TaskCounts
    submitted_by: int | None = Field(description="Id of the token that it came with")
    submitter: str | None = Field(description="Name of that token", examples=["alice"])
    time_submitted: datetime
    time_started: datetime | None
    time_finished: datetime | None
    position: int | None = Field(
        None,
        description="Assignments that others get before its next one; where it is read, if known",
        examples=[12],
    )
    estimate: Estimate | None = Field(
        None, description="When it begins and ends; where it is read, and known: seconds later"
    )


class Submitted(BaseModel):
    """The jobs of a batch, in the order given."""

    items: list[Job]


class Task(BaseModel):
    id: int = Field(examples=[12_582_912])
    job_id: int = Field(examples=[12])
    frame: Frame = Field(examples=[1])
    tile: int = Field(description="From 0")
    state: TaskState
    attempts: int
    failures: int
    lost_leases: int = Field(description="How many agents went silent with it")
    agent_id: UUID | None = Field(description="The agent that had it last")
    last_error: str | None
    progress: float = Field(description="From 0 to 1")
    time_started: datetime | None
    time_finished: datetime | None
