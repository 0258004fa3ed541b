"""One cycle: every agent that waits is served in one transaction, over one look at the farm."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import hint, lock_farm
from app.errors import AppError, Conflict, NotFound
from app.policy.fit import Agent
from app.policy.frames import parse, plain_number
from app.policy.pick import assign_in_turn
from app.policy.states import Mode
from app.policy.task_ids import task_id
from app.scheduler import reports, store
from app.scheduler.farm import agent_of, load_farm
from app.scheduler.schemas import AssignedJob, AssignedTask, Assignment, AssignRequest
from app.settings import Settings


class AgentNotFound(NotFound):
    code = "agent_not_found"


class AgentDisabled(Conflict):
    code = "agent_disabled"


# What a poll gets: work, nothing, or a refusal.
Outcome = Assignment | AppError | None


@dataclass(slots=True)
class Round:
    """The polls of a cycle and what is known of their agents; at most one poll an agent."""

    polls: dict[UUID, AssignRequest]
    asked: Sequence[AssignRequest]
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    agents: dict[UUID, RowMapping] = field(default_factory=dict)
    active: dict[UUID, int] = field(default_factory=dict)

    @property
    def idle(self) -> list[Agent]:
        """The agents that may get work, in the order in which they asked."""
        return [
            agent_of(self.agents[agent_id])
            for agent_id in self.polls
            if agent_id not in self.outcomes
            and agent_id not in self.active
            and self.agents[agent_id]["online"]
            and self.agents[agent_id]["mode"] == Mode.ENABLED
        ]


async def run(
    connection: AsyncConnection,
    asked: Sequence[AssignRequest],
    waiting: Sequence[AssignRequest],
    settings: Settings,
    sender: str,
) -> dict[UUID, Outcome]:
    """Serve polls that just came (`asked`), after those that wait from before.

    The caller commits, and gives the outcomes to the agents only then. One without an outcome is of
    an agent that went offline meanwhile: it has to ask anew.
    """
    this = Round({poll.agent_id: poll for poll in (*waiting, *asked)}, asked)
    await lock_farm(connection)
    await _touch(connection, asked, settings)
    await _meet(connection, this)
    if await _count_reports(connection, this):
        await hint(connection, sender)
    await _serve(connection, this, settings)
    await _answer(connection, this, settings)
    return this.outcomes


async def _touch(
    connection: AsyncConnection, asked: Sequence[AssignRequest], settings: Settings
) -> None:
    polls = [poll.model_dump(include={"agent_id", "free_ram"}) for poll in asked]
    if polls:
        await store.touch(connection, polls, settings.lease_seconds)


async def _meet(connection: AsyncConnection, this: Round) -> None:
    """Look the agents up; those that are not there or may not ask have their refusal."""
    rows = await store.agents(connection, list(this.polls))
    this.agents = {row["id"]: row for row in rows}
    for agent_id in this.polls:
        if agent_id not in this.agents:
            this.outcomes[agent_id] = AgentNotFound(
                f"there is no agent {agent_id}: register it with POST /agents"
            )
        elif this.agents[agent_id]["mode"] == Mode.DISABLED:
            this.outcomes[agent_id] = AgentDisabled(
                f"agent {agent_id} is disabled: an operator has to enable it first"
            )


async def _count_reports(connection: AsyncConnection, this: Round) -> bool:
    """Count what the polls report; True if a task ended, so that others may have work."""
    polls = [poll for poll in this.polls.values() if poll.agent_id not in this.outcomes]
    named = [poll.assignment_id for poll in polls if poll.assignment_id is not None]
    rows = await store.assignments(connection, [poll.agent_id for poll in polls], named)
    latest: dict[UUID, list[RowMapping]] = {}
    for row in rows:
        latest.setdefault(row["agent_id"], []).append(row)
    counted: list[reports.Counted] = []
    for poll in polls:
        try:
            counted += _weigh_poll(poll, latest.get(poll.agent_id, []))
        except AppError as refused:
            this.outcomes[poll.agent_id] = refused
    ended = set(await reports.count(connection, counted))
    this.active = {
        row["agent_id"]: row["id"] for row in rows if not row["ended"] and row["id"] not in ended
    }
    return any(one.result.state != "running" for one in counted)


def _weigh_poll(poll: AssignRequest, latest: list[RowMapping]) -> list[reports.Counted]:
    if not poll.results:
        return []
    assignment = reports.of_poll(latest, poll.assignment_id, poll.results)
    return reports.weigh(assignment, poll.results)


async def _serve(connection: AsyncConnection, this: Round, settings: Settings) -> None:
    """Pick for each idle agent in turn over the same farm, and write all that was picked."""
    idle = this.idle
    if not idle:
        return
    farm = await load_farm(connection)
    grants = [
        {"agent_id": agent.id, "job_id": job.id, "ordinals": ordinals}
        for agent, job, ordinals in assign_in_turn(farm, idle)
    ]
    if grants:
        made = await store.grant(connection, grants, settings.lease_seconds)
        this.active.update({row["agent_id"]: row["id"] for row in made})


async def _answer(connection: AsyncConnection, this: Round, settings: Settings) -> None:
    """Each agent without a refusal gets its assignment, None where it has none."""
    unanswered = [
        agent_id
        for agent_id in this.polls
        if agent_id not in this.outcomes and this.agents[agent_id]["online"]
    ]
    ids = [this.active[agent_id] for agent_id in unanswered if agent_id in this.active]
    rows = await store.answers(connection, ids) if ids else []
    found = {row["agent_id"]: answer(row, settings) for row in rows}
    this.outcomes.update({agent_id: found.get(agent_id) for agent_id in unanswered})
    await _let_wait(connection, this, settings)


async def _let_wait(connection: AsyncConnection, this: Round, settings: Settings) -> None:
    polls = [
        poll.model_dump(include={"agent_id", "wait"})
        for poll in this.asked
        if poll.wait and this.outcomes.get(poll.agent_id, poll) is None
    ]
    if polls:
        await store.wait(connection, polls, settings.lease_seconds)


def answer(row: RowMapping, settings: Settings) -> Assignment:
    return Assignment(
        id=row["id"],
        agent_id=row["agent_id"],
        lease_expires_at=row["lease_expires_at"],
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        job=AssignedJob(
            id=row["job_id"],
            title=row["title"],
            data=row["data"],
            environ=row["environ"],
            cpus=row["cpus"],
            ram=row["ram"],
            batch=row["batch"],
            queue=row["queue"],
        ),
        tasks=list(_tasks(row)),
    )


def _tasks(row: RowMapping) -> Iterable[AssignedTask]:
    frames = parse(row["frames"])
    for ordinal, attempt in zip(row["ordinals"] or (), row["attempts"] or (), strict=True):
        index, tile = divmod(ordinal, row["num_tiles"])
        yield AssignedTask(
            id=task_id(row["job_id"], ordinal),
            frame=plain_number(frames[index]),
            tile=tile,
            attempt=attempt,
        )
