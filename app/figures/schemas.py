"""Figures on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field


class Span(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class QueueFigure(BaseModel):
    assigned: float = Field(description="Agents in or below it", examples=[12])
    entitled: float | None = Field(
        description="Agents that it was entitled to; null: not known then", examples=[14]
    )
    waiting: float = Field(description="Tasks that waited in or below it", examples=[480])


class Point(BaseModel):
    """A part of the time: means of what was so, sums of what was done."""

    at: datetime = Field(description="When it begins")
    agents: dict[str, float] = Field(
        description="By state; `working`: those that had work",
        examples=[{"online": 40, "offline": 2, "working": 38}],
    )
    queues: dict[int, QueueFigure] = Field(
        description="By id: the queue asked for (0: the root), and the busiest right below it"
    )
    tasks_done: int
    tasks_failed: int
    jobs_started: int
    mean_wait: float | None = Field(
        description="Seconds from the submission of a job to its first task, of jobs that began"
    )
    longest_wait: float = Field(description="The same, the longest")


class QueueChanged(BaseModel):
    """Who changed a queue."""

    id: int
    at: datetime
    actor: str = Field(examples=["operator:alice"])
    action: str = Field(examples=["jobqueue.changed"])
    job_queue_id: int
    fullpath: str | None = Field(description="Its fullpath now; null: it is gone")
    detail: Any


class FarmFigures(BaseModel):
    span: Span
    step_seconds: int = Field(description="How long the time of each point is", examples=[60])
    names: dict[int, str] = Field(
        description="Fullpaths of the queues by their ids", examples=[{"1": "/films"}]
    )
    points: list[Point] = Field(description="By time; times in which no service ran have none")
    changes: list[QueueChanged] = Field(description="Of queues, newest first, at most 200")
