"""Agents come, live, change and go. Whatever takes work back holds the farm lock."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.agents import joining, store
from app.agents.schemas import (
    Agent,
    AgentChange,
    AgentRegister,
    AssignmentBrief,
    RegisteredAgent,
)
from app.caller import Caller
from app.db.engine import lock_farm
from app.db.refusals import refused_as
from app.errors import AppError, Conflict
from app.history.store import record
from app.policy.states import AgentState, EndedBecause, Mode, agent_state
from app.policy.task_ids import task_id
from app.scheduler.ending import take_back
from app.scheduler.refusals import AgentNotFound
from app.settings import Settings
from app.tokens.service import DAY
from app.tokens.store import revoke_of_agent


class AgentAddressTaken(Conflict):
    """Another agent is known at this hostname and port."""

    code = "agent_address_taken"


# What an agent becomes when it is told a state.
_TOLD: Mapping[AgentState, dict[str, Any]] = {
    AgentState.ONLINE: {"mode": Mode.ENABLED},
    AgentState.DRAINING: {"mode": Mode.DRAINING},
    AgentState.DISABLED: {"mode": Mode.DISABLED},
    AgentState.OFFLINE: {"online": False},
}

_TAKEN_BACK = {
    AgentState.DISABLED: EndedBecause.AGENT_DISABLED,
    AgentState.OFFLINE: EndedBecause.AGENT_OFFLINE,
}


async def register(
    connection: AsyncConnection, asked: AgentRegister, settings: Settings, caller: Caller
) -> tuple[RegisteredAgent, bool]:
    """The agent, online with these facts; True if it is new.

    Under the farm lock, so that of two equal registrations at once the second finds the first.
    """
    await lock_farm(connection)
    wanted = joining.own_id(asked.id, caller)
    known = await store.known(connection, wanted, asked.hostname, asked.port)
    joined = await joining.join(connection, known, caller)
    agent_id = known["id"] if known else wanted or uuid4()
    facts = asked.model_dump(exclude={"id"})
    facts["free_ram"] = asked.ram if asked.free_ram is None else asked.free_ram
    with refused_as(_taken(asked)):
        if known:
            await store.change(connection, agent_id, facts | joined)
            await store.come_online(connection, [store.Sign(agent_id)], settings.lease_seconds)
        else:
            own = {"keeps_id": wanted is not None}
            await store.add(connection, agent_id, facts | joined | own, settings.lease_seconds)
    action = "agent.returned" if known else "agent.registered"
    await record(connection, caller.actor, action, agent_id=agent_id, detail=facts)
    token = await joining.token(connection, agent_id, asked.hostname, caller, settings)
    return RegisteredAgent(
        **(await get(connection, agent_id)).model_dump(),
        heartbeat_seconds=settings.heartbeat_seconds,
        token=token,
        token_seconds=None if token is None else settings.agent_token_days * DAY,
    ), known is None


async def get(connection: AsyncConnection, agent_id: UUID) -> Agent:
    return _agent(await _row(connection, agent_id))


async def get_all(connection: AsyncConnection, agent_ids: Sequence[UUID]) -> list[Agent]:
    """Those of the agents that are there, in the order asked for."""
    found = {row["id"]: _agent(row) for row in await store.get_all(connection, agent_ids)}
    return [found[agent_id] for agent_id in agent_ids if agent_id in found]


async def page(
    connection: AsyncConnection,
    state: AgentState | None,
    hostname: str | None,
    after: UUID | None,
    limit: int,
) -> list[Agent]:
    return [_agent(row) for row in await store.page(connection, state, hostname, after, limit)]


async def change(
    connection: AsyncConnection, agent_id: UUID, asked: AgentChange, caller: Caller
) -> Agent:
    caller.must_be_agent(agent_id)
    joining.must_change(asked, caller)
    await lock_farm(connection)
    stored = await _row(connection, agent_id)
    values = asked.sent()
    state = values.pop("state", None)
    values |= _TOLD.get(state, {})
    changed = {name: value for name, value in values.items() if stored[name] != value}
    if changed:
        await store.change(connection, agent_id, changed)
        detail = {"from": {name: stored[name] for name in changed}, "to": changed}
        await record(connection, caller.actor, "agent.changed", agent_id=agent_id, detail=detail)
    if state in _TAKEN_BACK:
        await take_back(connection, _TAKEN_BACK[state], caller.actor, agent_ids=[agent_id])
    return await get(connection, agent_id)


async def remove(connection: AsyncConnection, agent_id: UUID, caller: Caller) -> None:
    """Forget an agent, its work taken back; one that is not there is forgotten already."""
    await lock_farm(connection)
    await take_back(connection, EndedBecause.AGENT_DELETED, caller.actor, agent_ids=[agent_id])
    await revoke_of_agent(connection, agent_id)
    gone = await store.remove(connection, agent_id)
    if gone is not None:
        detail = dict(gone)
        await record(connection, caller.actor, "agent.deleted", agent_id=agent_id, detail=detail)


def _taken(asked: AgentRegister) -> dict[str, AppError]:
    where = f"{asked.hostname}:{asked.port}"
    refusal = AgentAddressTaken(f"another agent is at {where}: delete it, or take another port")
    return {"uq_agents_hostname_port": refusal}


async def _row(connection: AsyncConnection, agent_id: UUID) -> RowMapping:
    row = await store.get(connection, agent_id)
    if row is None:
        raise AgentNotFound.of(agent_id)
    return row


def _agent(row: RowMapping) -> Agent:
    return Agent(
        **{name: row[name] for name in _AS_STORED},
        state=agent_state(row["mode"], online=row["online"]),
        lease_expires_at=row["lease_expires_at"] if row["online"] else None,
        assignment=None if row["assignment_id"] is None else _brief(row),
    )


def _brief(row: RowMapping) -> AssignmentBrief:
    return AssignmentBrief(
        id=row["assignment_id"],
        job_id=row["job_id"],
        title=row["title"],
        task_ids=[task_id(row["job_id"], ordinal) for ordinal in row["ordinals"]],
        started_at=row["started_at"],
    )


_AS_STORED = Agent.model_fields.keys() - {"state", "lease_expires_at", "assignment"}
