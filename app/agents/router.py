"""Routes of agents."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.access import Right
from app.agents import service
from app.agents.pulse import Pulse
from app.agents.schemas import (
    Agent,
    AgentChange,
    AgentRegister,
    Heartbeat,
    HeartbeatAnswer,
    Hostname,
    RegisteredAgent,
)
from app.caller import Asking, GuardedRoute, needs
from app.configured import Configured
from app.db.engine import Transaction
from app.errors import responses
from app.fields import Page, page_of
from app.parameters import Limit
from app.policy.states import AgentState

router = APIRouter(route_class=GuardedRoute, prefix="/agents", tags=["agents"])


async def the_pulse(request: Request) -> Pulse:
    pulse: Pulse = request.app.state.pulse
    return pulse


ThePulse = Annotated[Pulse, Depends(the_pulse)]


@router.post(
    "",
    status_code=201,
    summary="Make an agent known",
    dependencies=[needs(Right.REGISTER)],
    responses={
        200: {"model": RegisteredAgent, "description": "It was known: its facts are updated"},
        **responses(409),
    },
)
async def register(
    asked: AgentRegister,
    connection: Transaction,
    settings: Configured,
    caller: Asking,
    response: Response,
) -> RegisteredAgent:
    """It is known (200) by its `id`, else by `hostname` and `port`.

    One that gives neither id nor port is the agent of that host without a port. A known agent
    is online again, unless an operator disabled it. 409: another agent is at its new address, or
    a join token asks for an agent that is online and came with another one.

    With a `join` token, or the agent's own, the answer carries a `token` for this agent alone.
    """
    agent, new = await service.register(connection, asked, settings, caller)
    response.status_code = 201 if new else 200
    return agent


@router.get("", summary="List agents, by id", dependencies=[needs(Right.READ)])
async def page(
    connection: Transaction,
    state: Annotated[AgentState | None, Query(description="Only agents in this state")] = None,
    hostname: Annotated[Hostname | None, Query(description="Only agents of this host")] = None,
    limit: Limit = 100,
    cursor: Annotated[UUID | None, Query(description="`next` of the page before")] = None,
) -> Page[Agent]:
    return page_of(await service.page(connection, state, hostname, cursor, limit + 1), limit)


@router.get(
    "/{agent_id}",
    summary="One agent and its work",
    dependencies=[needs(Right.READ_WORK)],
    responses=responses(404),
)
async def get(agent_id: UUID, connection: Transaction, caller: Asking) -> Agent:
    """An agent reads itself alone."""
    caller.must_be_agent(agent_id)
    return await service.get(connection, agent_id)


@router.patch(
    "/{agent_id}",
    summary="Change, drain or disable an agent",
    dependencies=[needs(Right.CHANGE_AGENT)],
    responses=responses(404),
)
async def change(
    agent_id: UUID, asked: AgentChange, connection: Transaction, caller: Asking
) -> Agent:
    """`disabled` and `offline` take its work back at once; `draining` lets it finish first.

    `online` lets it have work again; it shows as offline until it calls. An agent may say that it
    is offline itself, and nothing else.
    """
    return await service.change(connection, agent_id, asked, caller)


@router.delete(
    "/{agent_id}",
    status_code=204,
    summary="Forget an agent",
    dependencies=[needs(Right.REMOVE_AGENT)],
)
async def remove(agent_id: UUID, connection: Transaction, caller: Asking) -> None:
    """Its work is taken back, and its tokens end. 204 as well where it did not exist."""
    await service.remove(connection, agent_id, caller)


@router.post(
    "/{agent_id}/heartbeat",
    summary="Give a sign of life",
    dependencies=[needs(Right.WORK)],
    responses=responses(404),
)
async def heartbeat(
    agent_id: UUID, pulse: ThePulse, caller: Asking, asked: Heartbeat | None = None
) -> HeartbeatAnswer:
    """Renews the lease of what the agent holds, and says what it shall stop.

    An agent that was offline is online again, unless it is disabled. 404: register again.
    """
    caller.must_be_agent(agent_id)
    return await pulse.beat(agent_id, asked or Heartbeat(), caller)
