"""One assignment from its first task to its last, while its lease is kept and results are told."""

import asyncio
import logging
import random
from functools import partial

from farmqueue.agent import attempts, command, lease, orphans, process
from farmqueue.agent.command import BadCommand, Group
from farmqueue.agent.held import Held
from farmqueue.agent.membership import is_refused, renew_in_time
from farmqueue.agent.patience import patiently
from farmqueue.agent.slot import Slot
from farmqueue.errors import Conflict, FarmqueueError, NotFound
from farmqueue.model import Heartbeat


class Dropped(Exception):
    """The work is no longer this agent's; the message says why."""

    lease_ran_out = False


class LeaseRanOut(Dropped):
    """By this agent's own clock: what has ended may still be told, should the service take it."""

    lease_ran_out = True


async def work(slot: Slot, held: Held) -> Dropped | None:
    """Do the tasks of an assignment; on return the results of the last ones are unconfirmed.

    Dropped when the service or the clock took it back, and then nothing of it runs any more.
    """
    dropped: Dropped | None = None
    try:
        async with asyncio.TaskGroup() as group:
            await _be_sure_of_lease(slot, held)
            aside = [
                group.create_task(_keep_lease(slot, held)),
                group.create_task(_tell(slot, held)),
            ]
            await _do(slot, held)
            for task in aside:
                task.cancel()
    except* Dropped as reasons:
        dropped = _first(reasons)
    this = asyncio.current_task()
    if dropped and this and this.cancelling():
        # A group that has an error to raise forgets that its task was told to stop.
        raise asyncio.CancelledError
    return dropped


def _first(reasons: ExceptionGroup[Dropped]) -> Dropped:
    found = reasons.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found


async def _do(slot: Slot, held: Held) -> None:
    try:
        groups = command.groups(held.assignment)
    except BadCommand as wrong:
        held.settle(held.assignment["tasks"], str(wrong))
        slot.say("job cannot be run", level=logging.WARNING, assignment=held.id, error=wrong)
        return
    for group in groups:
        error = await _contained(slot, held, group)
        held.settle(group, error)
        _log(slot, held, group, error)


async def _contained(slot: Slot, held: Held, group: Group) -> str | None:
    """A fault of the agent fails the tasks at hand; the other slots go on."""
    try:
        return await _attempt(slot, held, group)
    except Exception as fault:  # noqa: BLE001  # whatever a job brings about
        slot.say("fault of the agent", level=logging.ERROR, assignment=held.id, error=repr(fault))
        return f"the agent could not run it: {fault!r}"


async def _attempt(slot: Slot, held: Held, group: Group) -> str | None:
    own = {"FARMQUEUE_AGENT_ID": slot.agent_id, "FARMQUEUE_URL": slot.client.url}
    try:
        order = command.command(held.assignment, group, own)
    except BadCommand as wrong:
        return str(wrong)
    place = slot.options.state_dir, slot.number
    attempts.begin(*place, held.id, [task["id"] for task in group])
    try:
        return await process.run(
            order,
            on_start=partial(orphans.remember, *place),
            on_progress=partial(held.progress, group),
            grace=held.lease.grace,
        )
    finally:
        orphans.forget(*place)
        attempts.end(*place)


def _log(slot: Slot, held: Held, group: Group, error: str | None) -> None:
    slot.say(
        "tasks done" if error is None else "tasks failed",
        level=logging.INFO if error is None else logging.WARNING,
        assignment=held.id,
        job=held.assignment["job"]["id"],
        tasks=len(group),
        frame=group[0]["frame"],
        error=error and error.partition("\n")[0],
    )


async def _be_sure_of_lease(slot: Slot, held: Held) -> None:
    """Begin nothing on a lease that may be over: a poll waits for longer than one lasts.

    Raises Dropped.
    """
    if not held.lease.is_new():
        await _renew(slot, held)
    if held.lease.is_over():
        raise LeaseRanOut("its lease ran out on the way: the service did not answer in time")


async def _keep_lease(slot: Slot, held: Held) -> None:
    """Renew the lease until cancelled; Dropped once it ran out or the service says stop."""
    while True:
        try:
            async with asyncio.timeout_at(held.lease.deadline):
                # Not all at once: agents that were started together need not call together.
                await asyncio.sleep(held.lease.heartbeat * random.uniform(0.8, 1))  # noqa: S311
                await _renew(slot, held)
        except TimeoutError:
            raise LeaseRanOut("its lease ran out: the service did not answer in time") from None


async def _renew(slot: Slot, held: Held) -> None:
    await renew_in_time(slot)
    try:
        sent, answer = await patiently(partial(_beat, slot, held), slot.say)
    except (NotFound, Conflict) as refusal:
        raise Dropped(refusal.detail) from None
    except FarmqueueError as error:
        if is_refused(error):
            raise Dropped("its token is refused") from None
        slot.say("heartbeat refused", level=logging.ERROR, error=error)
        return
    if held.id in answer["stop"]:
        raise Dropped("the service took it back")
    if answer["lease_expires_at"] is not None:
        held.lease = lease.granted(answer, sent, slot.options.grace)


async def _beat(slot: Slot, held: Held) -> tuple[float, Heartbeat]:
    sent = asyncio.get_running_loop().time()
    free_ram = slot.host.free_ram_of_a_slot()
    return sent, await slot.client.heartbeat(
        slot.agent_id, free_ram=free_ram, assignment_id=held.id
    )


async def _tell(slot: Slot, held: Held) -> None:
    """Report results as they come until cancelled; Dropped when the assignment has ended."""
    while True:
        await held.news.wait()
        held.news.clear()
        results = held.unconfirmed()
        if not results:
            continue
        try:
            await patiently(partial(slot.client.report, held.id, results), slot.say)
        except (NotFound, Conflict) as refusal:
            raise Dropped(refusal.detail) from None
        except FarmqueueError as error:
            slot.say("results refused", level=logging.ERROR, assignment=held.id, error=error)
        else:
            held.confirmed(results)
