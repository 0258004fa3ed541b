"""Explanations on the wire."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.policy.steps import Rule


class Code(StrEnum):
    """Why something does not run, or does. Stable, for programs; the sentence is for people."""

    # of a job, or of a queue above it
    DONE = "done"
    FAILED = "failed"
    ALL_TASKS_OUT = "all_tasks_out"
    PARENT_FAILED = "parent_failed"
    WAITS_FOR_JOBS = "waits_for_jobs"
    PAUSED = "paused"
    CLOSED = "closed"
    MAXIMUM = "maximum_reached"
    NOTHING_OPEN = "nothing_open"
    # of agents
    NO_AGENTS = "no_agents_online"
    NO_AGENT_FITS = "no_agent_fits"
    BOUND_ELSEWHERE = "bound_elsewhere"
    TAGS_MISSING = "tags_missing"
    TAGS_EXCLUDED = "tags_excluded"
    CPUS = "too_few_cpus"
    RAM = "too_little_memory"
    FAILED_BEFORE = "failed_before"
    ALL_BUSY = "all_agents_busy"
    # of the turn between siblings: another goes first
    MINIMUM_FIRST = "minimum_first"
    PRIORITY = "priority"
    RUNNING_FIRST = "running_first"
    LEFTOVERS = "leftovers"
    SHARE = "share"
    WEIGHT = "weight"
    JOB_FIRST = "job_first"
    OLDER = "older"
    # of one agent
    AGENT_OFFLINE = "agent_offline"
    AGENT_DISABLED = "agent_disabled"
    AGENT_DRAINING = "agent_draining"
    AGENT_BUSY = "agent_busy"
    # nothing is in the way
    NEXT = "next"


class Node(BaseModel):
    """A queue or a job; `name` is the queue's fullpath (`/`: the root) or the job's title."""

    kind: Literal["queue", "job"]
    id: int | None = Field(description="null: the root", examples=[3])
    name: str = Field(examples=["/films"])


class Reason(BaseModel):
    code: Code
    sentence: str = Field(examples=["/films has its maximum: 5 of 5 agents"])
    where: Node | None = Field(None, description="The queue or job that it is about")
    agents: int | None = Field(None, description="How many agents it is about", examples=[40])
    tags: list[str] = Field([], description="The tags that it is about", examples=[["gpu"]])
    jobs: list[int] = Field([], description="The jobs that it is about")


class Candidate(BaseModel):
    """A child that is open for the agent, with the numbers that rules go by."""

    node: Node
    priority: int
    weight: int
    assigned_agents: int
    owed: bool = Field(description="It, or something in it, is below its minimum")


class Step(BaseModel):
    """One queue on the way down, and how what comes next stands there."""

    queue: Node
    node: Node = Field(description="The child that the way goes to")
    candidates: int = Field(description="Children that are open for the agent", examples=[4])
    owed: int = Field(description="Those of them that come before all others", examples=[1])
    place: int | None = Field(description="1: it is its turn; null: it is not open", examples=[2])
    other: Node | None = Field(
        description="Whose turn it is instead; if it is its own, whose comes next"
    )
    rule: Rule | None = Field(description="What decides between the two", examples=["share"])
    in_turn: list[Candidate] = Field(description="The first candidates, up to 5, as turns come")
    sentence: str = Field(examples=["/tv goes first: it has 2 agents on weight 10, /films 3 on 10"])


class Change(BaseModel):
    """One call of this service after which the work would go out. It was tried on the farm."""

    method: Literal["PATCH", "POST"] = "PATCH"
    path: str = Field(examples=["/jobqueues/3"])
    body: dict[str, Any] = Field(examples=[{"maximum_agents": 6}])
    sentence: str = Field(examples=["raise maximum_agents of /films to 6"])
    at_once: bool = Field(description="False: when the next agent that can do it is free")


class AgentBrief(BaseModel):
    id: UUID
    hostname: str = Field(examples=["node042"])


class Explanation(BaseModel):
    """Why a job or a queue gets no agent just now, or which one it gets."""

    node: Node
    assigned_agents: int = Field(description="Agents that work in it just now", examples=[5])
    sentence: str = Field(description="The first reason", examples=["/films is paused"])
    reasons: list[Reason] = Field(description="All that is in the way, the binding one first")
    change: Change | None = Field(
        description="The smallest single change that lets it run; null: none does, or needs to"
    )
    agent: AgentBrief | None = Field(
        description="Whose walk it is; null: of one just as the job asks for, since there is none"
    )
    walk: list[Step]


class AgentExplanation(BaseModel):
    """What an agent works on, what it would get, or why it gets nothing."""

    agent: AgentBrief
    sentence: str = Field(examples=["it gets job 12 'Shot 42' at its next poll"])
    reasons: list[Reason] = Field(description="Of the jobs that wait, what keeps how many from it")
    gets: Node | None = Field(description="The job that it would get now")
    walk: list[Step]


class Chosen(BaseModel):
    """A choice as it was: the numbers of that moment, the names of today."""

    queue: Node
    node: Node
    priority: int
    weight: int
    assigned_agents: int
    owed: bool = Field(description="It, or something in it, was below its minimum")
    other: Node | None = Field(description="What would have been next")
    rule: Rule | None = Field(description="What decided between the two; null: there was no other")
    sentence: str


class AssignmentExplanation(BaseModel):
    """Why an assignment was made: the walk of that moment."""

    id: int
    agent: AgentBrief
    job: Node
    made_at: datetime
    walk: list[Chosen] = Field(description="Empty for one made by a release that did not keep it")
