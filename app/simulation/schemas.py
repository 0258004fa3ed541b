"""Simulations on the wire: what is asked. Memory in MB, times in seconds."""

from math import ceil
from typing import Annotated, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from app.fields import Body, Count, Fullpath, Id, Limits, Tags, Title
from app.ranges import MAX_TASKS

MAX_AGENTS = 100_000
MAX_QUEUES = 20_000
MAX_JOBS = 20_000
MAX_STEPS = 2_000
STEP_SECONDS = 300.0
MAX_BATCH = 10_000
MAX_HOURS = 24 * 28
MAX_SECONDS = 86_400.0 * 366

Duration = Annotated[float, Field(gt=0, le=MAX_SECONDS, strict=False)]
Moment = Annotated[float, Field(ge=0, le=MAX_SECONDS, strict=False)]
Spread = Annotated[float, Field(ge=0, le=3, strict=False)]
Index = Annotated[int, Field(ge=0, lt=MAX_JOBS)]
SPREAD = "Standard deviation of task times, as a part of their mean"


class _QueueFields(Limits):
    prefer_running_jobs: bool = False
    paused: bool = False


class GivenQueue(_QueueFields):
    """A queue of a farm that is made up; the queue above it must be there as well."""

    queue: Fullpath


class EditedQueue(_QueueFields):
    """A queue that is changed, made, or taken away; what is not sent stays."""

    id: Id | None = Field(None, description="Of the queue that is changed")
    queue: Fullpath | None = Field(None, description="Its fullpath instead")
    create: Fullpath | None = Field(None, description="Fullpath of a new queue instead")
    parent: Fullpath | None = Field(None, description="Where it goes; '/': the top level")
    delete: bool = Field(False, description="With all that is in it")

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if sum(name is not None for name in (self.id, self.queue, self.create)) != 1:
            raise ValueError("give one of id, queue and create")
        if self.create is not None and (self.delete or self.parent is not None):
            raise ValueError("a new queue has its place by its fullpath")
        return self


class EditedJob(Limits):
    """A job that is changed or taken away; what is not sent stays."""

    id: Id
    queue: Fullpath | None = Field(None, description="Where it goes; '/': the root")
    paused: bool = False
    delete: bool = False


class Work(Limits):
    """A job that comes in, or several alike."""

    title: Title
    queue: Fullpath = Field("/", description="Its queue's fullpath; '/': the root")
    tasks: int = Field(ge=1, le=MAX_TASKS)
    seconds_per_task: Duration | None = Field(
        None, description="null: as measured in its queue, or default_task_seconds"
    )
    spread: Spread | None = Field(None, description=SPREAD)
    at: Moment = Field(0, description="When it is submitted, from now on")
    count: int = Field(1, ge=1, le=MAX_JOBS, description="So many such jobs")
    every: Moment = Field(0, description="Seconds between one and the next of them")
    after: list[Index] = Field(
        [], max_length=1_000, description="Places in this list (from 0) that must be done before"
    )
    batch: int = Field(1, ge=1, le=MAX_BATCH)
    cpus: Count = 1
    ram: Count = 32
    required_tags: Tags = Field([])
    excluded_tags: Tags = Field([])


class Agents(Body):
    """Agents alike."""

    count: int = Field(1, ge=1, le=MAX_AGENTS)
    cpus: Count = 1
    ram: Count = Field(1_024, description="Free memory of each")
    tags: Tags = Field([])


class LessAgents(Body):
    """Agents that go: those with all of these tags, idle ones first."""

    count: int | None = Field(None, ge=1, le=MAX_AGENTS, description="null: all of them")
    tags: Tags = Field([])


class AgentEdits(Body):
    add: list[Agents] = Field([], max_length=1_000)
    remove: list[LessAgents] = Field([], max_length=1_000)


class Changes(Body):
    queues: list[EditedQueue] = Field([], max_length=MAX_QUEUES, description="One after the other")
    jobs: list[EditedJob] = Field([], max_length=MAX_JOBS)
    agents: AgentEdits = AgentEdits()

    def __bool__(self) -> bool:
        return bool(self.queues or self.jobs or self.agents.add or self.agents.remove)


class GivenFarm(Body):
    """A farm that is made up: its agents are idle, its jobs have not begun."""

    queues: list[GivenQueue] = Field([], max_length=MAX_QUEUES)
    jobs: list[Work] = Field([], max_length=MAX_JOBS)
    agents: list[Agents] = Field([], max_length=1_000)


class SimulationRequest(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "changes": {
                        "queues": [{"queue": "/films", "maximum_agents": 20}],
                        "agents": {"add": [{"count": 100, "cpus": 16, "ram": 65536}]},
                    },
                    "workload": [{"queue": "/films", "title": "dailies", "tasks": 500, "at": 3600}],
                    "hours": 12,
                },
                {
                    "farm": {
                        "queues": [{"queue": "/films"}],
                        "jobs": [{"title": "shot 010", "queue": "/films", "tasks": 240}],
                        "agents": [{"count": 10}],
                    },
                    "hours": 1,
                },
            ]
        }
    )

    farm: GivenFarm | None = Field(None, description="null: the farm as it is now")
    changes: Changes = Changes()
    workload: list[Work] = Field([], max_length=MAX_JOBS, description="Jobs that come in")
    hours: float = Field(24, gt=0, le=MAX_HOURS, strict=False, description="How far to look")
    step_seconds: Duration | None = Field(
        None,
        description=f"Between two points of a series; null: {STEP_SECONDS:g}, or more of a long"
        f" time, so that it has at most {MAX_STEPS} steps",
    )
    seed: int = Field(1, ge=0, lt=2**32, description="The same seed, the same task times")
    default_task_seconds: Duration = Field(300, description="Where nothing was measured")
    spread: Spread = Field(0.2, description=f"{SPREAD}, where nothing was measured")
    baseline: bool = Field(
        True,
        description="Whether to tell as well what would be without the changes; where there are"
        " none, without the workload. It is played beside the other, on a second processor",
    )
    series: list[Fullpath] = Field(
        [], max_length=50, description="Queues with a series, beside those of the top level"
    )
    jobs: list[Id] = Field(
        [], max_length=1_000, description="Jobs to tell of; none: the first 100, and the workload's"
    )

    @property
    def step(self) -> float:
        """Seconds between two points of a series."""
        return self.step_seconds or max(STEP_SECONDS, self.hours * 3_600 / MAX_STEPS)

    @field_validator("step_seconds")
    @classmethod
    def _few_steps(cls, step: float | None, info: ValidationInfo) -> float | None:
        hours = info.data.get("hours")
        if step is not None and hours is not None and hours * 3_600 / step > MAX_STEPS + 1e-6:
            raise ValueError(
                f"at most {MAX_STEPS} steps: {ceil(hours * 3_600 / MAX_STEPS)} seconds or more"
            )
        return step
