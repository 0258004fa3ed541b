"""Simulations on the wire: what is told. Seconds count from now on."""

from datetime import datetime

from pydantic import BaseModel, Field


class QueueOutcome(BaseModel):
    id: int = Field(description="Of a queue that is not stored: a number of this answer's own")
    queue: str = Field(description="Its fullpath", examples=["/films"])
    minimum_agents: int | None
    maximum_agents: int | None
    agents_now: int = Field(description="At second 0, after whoever is idle has asked")
    entitled_now: int = Field(description="What it would have then of an empty farm's agents")
    mean_agents: float
    peak_agents: int
    entitled_agents: float = Field(description="Mean of what it was entitled to")
    share_of_entitlement: float | None = Field(
        description="Agents that it had, of those that it was entitled to at the same moments"
    )
    seconds_below_minimum: float = Field(description="While work was open in it")
    finish_seconds: float | None = Field(description="Its last task's end; null: not by then")
    tasks_left: int = Field(description="Waiting tasks, and agents at work, at the end")


class JobOutcome(BaseModel):
    id: int = Field(description="Of a job that is not stored: a number of this answer's own")
    title: str
    queue: str = Field(examples=["/films"])
    submitted_seconds: float | None = Field(description="null: it is there already")
    next_agent_seconds: float | None = Field(description="When an agent next begins with it")
    assignments_ahead: int | None = Field(description="What is given out before that")
    finish_seconds: float | None = Field(description="null: not by then")
    mean_agents: float
    peak_agents: int
    tasks_left: int


class Series(BaseModel):
    seconds: list[float] = Field(examples=[[0, 300, 600]])
    working_agents: list[int] = Field(examples=[[100, 100, 98]])
    queues: dict[str, list[int]] = Field(
        description="Agents of the top-level queues, and of those asked for",
        examples=[{"/films": [60, 60, 59]}],
    )


class Outcome(BaseModel):
    agents: int = Field(description="Those that may have work")
    assignments: int = Field(description="Given out from now on")
    mean_working_agents: float
    finish_seconds: float | None = Field(description="null: work is left")
    queues: list[QueueOutcome] = Field(
        description="By fullpath; of more than 2,000 the upper ones, and those with a series"
    )
    jobs: list[JobOutcome]
    series: Series


class Simulation(BaseModel):
    """The farm with everything that was asked for, beside the baseline."""

    hours: float
    seed: int
    measured_jobs: int = Field(description="Jobs whose task times were measured")
    changed: Outcome
    baseline: Outcome | None


class Spread(BaseModel):
    """In 8 of 10 cases it lies between the first and the last, in half of them before the other."""

    p10: datetime
    p50: datetime
    p90: datetime


class Estimate(BaseModel):
    """When, by the farm as it was at `as_of`, the task times measured, and the rules."""

    as_of: datetime = Field(description="What changed later is not in it")
    start: Spread | None = Field(
        description="When an agent next begins with it; null: nothing of it is to be given out,"
        " or not within three days"
    )
    finish: Spread | None = Field(
        description="When its last task is over; null: not within three days"
    )
