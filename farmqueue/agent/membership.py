"""An agent's way into the farm: by its own token, else by the join token; and a new one in time."""

import asyncio
import logging
from functools import partial
from http import HTTPStatus

import httpx

from farmqueue import __version__
from farmqueue.agent import identity
from farmqueue.agent.patience import patiently
from farmqueue.agent.slot import Slot
from farmqueue.errors import FarmqueueError, Forbidden, shown
from farmqueue.model import AgentFields, RegisteredAgent

AGENTS_OWN = "fq_agent_"  # how the token of one agent begins


async def register(slot: Slot) -> None:
    """Be known to the farm. Raises FarmqueueError when it lets this agent in by neither token."""
    agent = await patiently(partial(_introduce, slot), slot.say)
    slot.registered = True
    slot.agent_id = agent["id"]
    _keep(slot, agent)
    slot.say("registered", agent=slot.agent_id, service=shown(httpx.URL(slot.client.url)))


async def renew_in_time(slot: Slot) -> None:
    """Get a new token when half of the life of this one is over; a farm that is away can wait."""
    if slot.renew_at is None or asyncio.get_running_loop().time() < slot.renew_at:
        return
    try:
        _keep(slot, await _ask_with(slot))
        slot.say("has a new token")
    except FarmqueueError as error:
        slot.say("no new token yet", level=logging.WARNING, error=error)
        slot.renew_at += slot.options.renew_pause


def is_refused(error: FarmqueueError) -> bool:
    """Whether the service does not take this token any more."""
    return isinstance(error, Forbidden) and error.status == HTTPStatus.UNAUTHORIZED


async def _introduce(slot: Slot) -> RegisteredAgent:
    """With its own token; where that is refused, by the one that the process was given."""
    if slot.client.token == slot.given.token:
        return await _ask_with(slot)
    try:
        return await _ask_with(slot)
    except Forbidden as refusal:
        slot.say("its own token is refused: joins anew", level=logging.WARNING, error=refusal)
        slot.client = slot.given
    return await _ask_with(slot)


async def _ask_with(slot: Slot) -> RegisteredAgent:
    # An agent's token that was handed to this process says itself which agent it is.
    handed = slot.client is slot.given and (slot.client.token or "").startswith(AGENTS_OWN)
    # No port: agents with one are told apart by hostname and port, those without by id alone.
    facts = AgentFields(
        cpus=slot.host.cpus_of(slot.number),
        ram=slot.host.ram_of_a_slot,
        free_ram=slot.host.free_ram_of_a_slot(),
        tags=list(slot.options.tags),
        version=__version__,
    )
    if not handed:
        facts["id"] = slot.agent_id
    return await slot.client.register(slot.host.name, **facts)


def _keep(slot: Slot, agent: RegisteredAgent) -> None:
    """Use the new token from now on, and keep it with the id for the next start."""
    token = agent.get("token")
    if token:
        slot.client = slot.given.speaking_with(token)
        life = agent.get("token_seconds") or 0.0
        slot.renew_at = asyncio.get_running_loop().time() + life / 2 if life else None
    try:
        identity.keep_id(slot.options.state_dir, slot.number, agent["id"])
        if token:
            identity.keep_token(slot.options.state_dir, slot.number, token)
    except OSError as error:
        slot.say("cannot keep the agent's id and token", level=logging.WARNING, error=error)
