"""The life of one agent: register, ask for work, do it, and at the end give back what is left."""

import asyncio
import logging
import random
from functools import partial

from farmqueue.agent import attempts, lease, orphans
from farmqueue.agent.held import Held
from farmqueue.agent.membership import is_refused, register, renew_in_time
from farmqueue.agent.patience import patiently
from farmqueue.agent.slot import Slot
from farmqueue.agent.work import work
from farmqueue.errors import Conflict, FarmqueueError, NotFound
from farmqueue.model import Assignment

_WHILE_DISABLED = 10  # pauses between two polls


async def live(slot: Slot) -> None:
    """Work for the farm until cancelled; what is held then goes back to it.

    Raises FarmqueueError when the service refuses to know this agent.
    """
    try:
        if await orphans.end(slot.options.state_dir, slot.number, slot.options.grace):
            slot.say("ended what a killed agent had left running", level=logging.WARNING)
        await register(slot)
        await attempts.tell_deaths(slot)
        while True:
            await renew_in_time(slot)
            await _turn(slot)
    finally:
        await _say_goodbye(slot)


async def _turn(slot: Slot) -> None:
    """Ask once, and do what the answer says."""
    asked = asyncio.get_running_loop().time()
    try:
        sent, assignment = await patiently(partial(_ask, slot), slot.say)
    except FarmqueueError as refusal:
        await _refused(slot, refusal)
        return
    _accepted(slot)
    if assignment is not None:
        await _work(slot, assignment, sent)
    else:
        await _rest_until(asked + slot.options.pause)


async def _ask(slot: Slot) -> tuple[float, Assignment | None]:
    """What there is to do, and when the call that was answered was sent."""
    sent = asyncio.get_running_loop().time()
    return sent, await slot.client.assign(
        slot.agent_id,
        wait=slot.options.wait,
        free_ram=slot.host.free_ram_of_a_slot(),
        results=slot.held.unconfirmed() if slot.held else (),
        assignment_id=slot.held.id if slot.held else None,
    )


def _accepted(slot: Slot) -> None:
    slot.held = None
    if slot.disabled:
        slot.disabled = False
        slot.say("enabled again")


async def _refused(slot: Slot, refusal: FarmqueueError) -> None:
    """Nothing was assigned: what is held is lost, or never was ours."""
    held, slot.held = slot.held, None
    if isinstance(refusal, NotFound) or is_refused(refusal):
        await register(slot)
    elif refusal.code == "agent_disabled":
        if not slot.disabled:
            slot.say("disabled by an operator: asks on until enabled", level=logging.WARNING)
        slot.disabled = True
        await asyncio.sleep(_spread(slot.options.pause * _WHILE_DISABLED))
    else:
        slot.say("poll refused", level=logging.WARNING, code=refusal.code, error=refusal)
        if held and not isinstance(refusal, Conflict):
            await _release(slot, held)
    await asyncio.sleep(_spread(slot.options.pause))


async def _work(slot: Slot, assignment: Assignment, sent: float) -> None:
    slot.held = Held(assignment, lease.granted(assignment, sent, slot.options.grace))
    slot.say(
        "assigned",
        assignment=assignment["id"],
        job=assignment["job"]["id"],
        title=assignment["job"]["title"],
        queue=assignment["job"]["queue"],
        tasks=len(assignment["tasks"]),
    )
    slot.host.busy += 1
    try:
        dropped = await work(slot, slot.held)
    finally:
        slot.host.busy -= 1
    if dropped:
        slot.say("dropped", level=logging.WARNING, assignment=slot.held.id, because=dropped)
        # What ended in time goes with the next poll: the service may have been away, not asleep.
        slot.held = slot.held.only_ended() if dropped.lease_ran_out else None
        # A service that gives out what it does not take results of must not be asked in a loop.
        await asyncio.sleep(_spread(slot.options.pause))


async def _rest_until(moment: float) -> None:
    """A poll that came back early must not become a busy loop, on a whole farm least of all."""
    left = moment - asyncio.get_running_loop().time()
    await asyncio.sleep(_spread(max(0.0, left)))


def _spread(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311


async def _say_goodbye(slot: Slot) -> None:
    if not slot.registered:
        return
    try:
        async with asyncio.timeout(slot.options.farewell):
            if slot.held:
                await _release(slot, slot.held)
            await slot.client.change_agent(slot.agent_id, state="offline")
        slot.say("offline", agent=slot.agent_id)
    except (FarmqueueError, TimeoutError) as error:
        slot.say("no goodbye: the lease runs out instead", level=logging.WARNING, error=error)


async def _release(slot: Slot, held: Held) -> None:
    """Report what is finished, and give the rest back, as far as the service takes it."""
    try:
        if finished := held.unconfirmed():
            await slot.client.report(held.id, finished)
    except FarmqueueError as error:
        slot.say("results refused", level=logging.WARNING, assignment=held.id, error=error)
    try:
        await slot.client.release(held.id)
        slot.say("released", assignment=held.id)
    except FarmqueueError as error:
        slot.say("release refused", level=logging.WARNING, assignment=held.id, error=error)
