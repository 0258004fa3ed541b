"""Agents that come with a token: who may be which agent, and what they get for it."""

from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Role
from app.agents.schemas import AgentChange
from app.caller import Caller, OtherAgent, OtherSubtree, token_ended
from app.errors import Conflict, Forbidden
from app.policy.states import AgentState
from app.settings import Settings
from app.tokens import service, store


class AgentIsOnline(Conflict):
    """A join token makes nobody an agent that is at work."""

    code = "agent_is_online"


class JoinTokenUsedUp(Forbidden):
    code = "join_token_used_up"


def own_id(asked: UUID | None, caller: Caller) -> UUID | None:
    """The id that a registration is for: an agent's own token is for no other."""
    if caller.agent_id is None:
        return asked
    caller.must_be_agent(asked or caller.agent_id)
    return caller.agent_id


async def join(
    connection: AsyncConnection, known: RowMapping | None, caller: Caller
) -> dict[str, Any]:
    """Let the caller be this agent, `known` or new; what is to be kept of its joining.

    Under the farm lock: neither can two have the last use of a token, nor come online meanwhile.
    """
    own = caller.token_id if caller.agent_id is not None else None
    if own is not None and await store.valid(connection, own) is None:
        raise token_ended()  # revoked while this waited for the lock
    if caller.agent_id is not None and (known is None or known["id"] != caller.agent_id):
        raise OtherAgent("this token's agent was deleted: join anew")
    if caller.role is not Role.JOIN or caller.token_id is None:
        return {}
    if known and known["online"] and known["joined_with"] != caller.token_id:
        raise AgentIsOnline(
            f"agent {known['id']} is online and came with another token: if this is the same host,"
            " stop it there, wait until it is offline, or use the join token that it came with"
        )
    bound = caller.job_queue_id is not None
    if bound and known and known["job_queue_id"] != caller.job_queue_id:
        raise OtherSubtree(
            f"this join token is bound to queue {caller.job_queue_id}, and agent {known['id']} is"
            " not: use a join token that is bound to none, or have the agent deleted"
        )
    if not await store.use(connection, caller.token_id):
        raise JoinTokenUsedUp("this join token is used up: an admin makes another one")
    return {"joined_with": caller.token_id, "job_queue_id": caller.job_queue_id}


async def token(
    connection: AsyncConnection,
    agent_id: UUID,
    hostname: str,
    caller: Caller,
    settings: Settings,
) -> str | None:
    """A token for the agent, if whoever registered it is the agent."""
    if caller.role not in {Role.JOIN, Role.AGENT}:
        return None
    return await service.for_agent(connection, agent_id, hostname, caller, settings)


def must_change(asked: AgentChange, caller: Caller) -> None:
    """An agent says goodbye for itself; all else is for people."""
    if caller.agent_id is not None and asked.sent() != {"state": AgentState.OFFLINE}:
        raise Forbidden("an agent says that it is offline; to change it takes an admin or operator")
