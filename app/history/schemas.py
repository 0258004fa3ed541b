"""The history on the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field


class Event(BaseModel):
    """Who did what to which queue, job, agent or assignment, when."""

    id: int
    at: datetime
    actor: str = Field(examples=["operator:alice"])
    action: str = Field(examples=["job.changed"])
    job_queue_id: int | None
    job_id: int | None = Field(examples=[12])
    agent_id: UUID | None
    assignment_id: int | None
    detail: Any = Field(examples=[{"from": {"priority": 0}, "to": {"priority": 50}}])
