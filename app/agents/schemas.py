"""Agents on the wire; memory in MB."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from app.fields import Body, Count, Id, Tags, Text
from app.policy.states import AgentState
from app.ranges import MAX_NAME

Hostname = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_NAME)]
Version = Annotated[Text, StringConstraints(max_length=MAX_NAME)]


class AgentRegister(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"hostname": "node042", "port": 7001, "cpus": 16, "ram": 65536, "tags": ["gpu"]}
            ]
        }
    )

    id: Annotated[UUID, Field(strict=False)] | None = Field(
        None, description="Its own, kept from before; unset: the answer has one"
    )
    hostname: Hostname = Field(examples=["node042"])
    port: int | None = Field(
        None, ge=1, le=65_535, description="Tells the agents of one host apart"
    )
    cpus: Count = 1
    ram: Count = 1_024
    free_ram: Count | None = Field(None, description="Unset: all of it")
    tags: Tags = Field([])
    version: Version | None = Field(None, examples=["0.1.0"])


class AgentChange(Body):
    """Any field; those that are not sent stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "draining"}]})

    # Factories, so that the document shows no defaults: there are none.
    cpus: Count = Field(default_factory=int)
    ram: Count = Field(default_factory=int)
    free_ram: Count = Field(default_factory=int)
    tags: Tags = Field(default_factory=list)
    version: Version | None = None
    state: Annotated[AgentState, Field(strict=False)] = Field(
        default_factory=lambda: AgentState.ONLINE,
        description="`draining`: it may finish what it has; `disabled`: that is taken back;"
        " `offline`: it says goodbye, and that is taken back; `online`: it may have work again",
    )

    def sent(self) -> dict[str, Any]:
        """The fields that the request named, null included."""
        return self.model_dump(exclude_unset=True)


class Heartbeat(Body):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"free_ram": 30_000, "assignment_id": 7}]}
    )

    free_ram: Count | None = Field(None, description="As of now")
    assignment_id: Id | None = Field(None, description="What it works on, as far as it knows")


class HeartbeatAnswer(BaseModel):
    heartbeat_seconds: float = Field(description="Call again so soon", examples=[20.0])
    lease_seconds: float = Field(description="How long the lease is, from now on", examples=[60.0])
    lease_expires_at: datetime | None
    state: AgentState
    stop: list[int] = Field(description="Assignments to drop: they were taken back")


class AssignmentBrief(BaseModel):
    id: int
    job_id: int
    title: str = Field(description="The job's")
    task_ids: list[int]
    started_at: datetime


class Agent(BaseModel):
    id: UUID
    hostname: str = Field(examples=["node042"])
    port: int | None
    cpus: int
    ram: int
    free_ram: int = Field(description="As last reported")
    tags: list[str]
    version: str | None
    state: AgentState
    last_seen: datetime
    lease_expires_at: datetime | None = Field(
        description="Silence until then loses its work; null: offline"
    )
    time_registered: datetime
    joined_with: int | None = Field(description="Id of the join token that it came with")
    job_queue_id: int | None = Field(
        description="It serves only this queue and what is below it; null: the whole farm"
    )
    assignment: AssignmentBrief | None = Field(description="What it works on")


class RegisteredAgent(Agent):
    heartbeat_seconds: float = Field(description="Call at least so often", examples=[20.0])
    token: str | None = Field(
        None, description="For this agent alone, shown this once; null: an admin registered it"
    )
    token_seconds: float | None = Field(
        None, description="How long it lives; register with it before, and get a new one"
    )
