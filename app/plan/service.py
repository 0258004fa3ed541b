"""A file beside the farm: what is different, and making the farm as the file says.

A plan is made in another process, of a snapshot and without any lock. It is carried out if the farm
still is what the plan was made of; else it is made anew while nobody else may change queues.
"""

from contextlib import asynccontextmanager
from uuid import uuid4

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller
from app.db.engine import lock_farm, lock_tree, transaction
from app.db.refusals import refused_as
from app.errors import Conflict
from app.jobqueues.bounds import must_be_inside
from app.jobqueues.service import JobQueueInUse, JobQueueNameTaken
from app.plan import store
from app.plan.making import Asked, Orders
from app.plan.workshop import Turn, Workshop

REFUSALS = {
    "fk_jobs_job_queue_id": JobQueueInUse("a job was just submitted into a queue that is to go"),
    "fk_jobqueues_parent_jobqueue_id": JobQueueInUse("a queue that is to go just got a child"),
    "uq_jobqueues_parent_jobqueue_id_name": JobQueueNameTaken(
        "a queue of one of these names was just made: plan anew"
    ),
}


class PlanOutdated(Conflict):
    """The farm, or the file, is not what the plan was made of."""

    code = "plan_outdated"


async def plan(workshop: Workshop, request: Request, asked: Asked) -> bytes:
    """The difference as JSON; nothing is changed."""
    async with asynccontextmanager(transaction)(request):
        pass  # the token is valid; no connection is held while the plan is made
    return await workshop.plan(await request.body(), asked)


async def apply(
    workshop: Workshop, request: Request, asked: Asked, fingerprint: str | None, caller: Caller
) -> bytes:
    """Make the farm as the file says, all of it or nothing; the plan that was carried out."""
    body = await request.body()
    content, orders = await _planned(workshop, body, asked, fingerprint)
    async with asynccontextmanager(transaction)(request) as connection:
        await lock_tree(connection)
        await must_be_inside(connection, caller, orders.root)  # else nobody is to wait for a plan
        if await store.present_digest(connection, orders.root) == orders.digest:
            await _carry_out(connection, orders, caller)
            return content
    # Somebody's edit came between. Others' edits wait now, agents do not; its turn first, so that
    # nobody waits for the plans of others, nor for a processor.
    async with (
        workshop.urgent_turn() as mine,
        asynccontextmanager(transaction)(request) as connection,
    ):
        await lock_tree(connection)
        content, orders = await _planned(mine, body, asked, fingerprint)
        await _carry_out(connection, orders, caller)
        return content


async def _planned(
    workshop: Workshop | Turn, body: bytes, asked: Asked, fingerprint: str | None
) -> tuple[bytes, Orders]:
    content, orders = await workshop.orders(body, asked)
    if fingerprint not in {None, orders.fingerprint}:
        raise PlanOutdated(
            "the farm, the file or --delete is not what this plan was made of: plan anew, look at"
            " what is different now, and apply that"
        )
    return content, orders


async def _carry_out(connection: AsyncConnection, orders: Orders, caller: Caller) -> None:
    """With the tree locked, and the queues as the orders were made of."""
    await lock_farm(connection)
    await must_be_inside(connection, caller, orders.root)
    if orders.refusal is not None:
        raise JobQueueInUse(orders.refusal)
    new = await store.new_ids(connection, orders.made)
    with refused_as(REFUSALS):
        await store.park(connection, orders.parked, f"leaving {uuid4()} ")
        await store.make(connection, orders.creates, new)
        await store.change(connection, orders.changes, new)
        await store.remove(connection, orders.deleted)
    await store.repath(connection, orders.root)
    await store.record(connection, caller.actor, orders.events, new)
