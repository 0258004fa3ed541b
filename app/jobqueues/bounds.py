"""A token may be bound to a queue: it changes nothing but what is in it or below it.

What refuses is to be asked under the lock of the tree or the farm: no queue moves between the
question and what is done then. Whoever shows what may be done asks without it.
"""

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncConnection

from app.access import Right
from app.caller import Caller, OtherSubtree
from app.jobqueues import store


async def inside(
    connection: AsyncConnection, caller: Caller, queue_ids: Collection[int | None]
) -> set[int | None]:
    """Those of the queues (None: the root) that the caller's token is good for."""
    if caller.job_queue_id is None:
        return set(queue_ids)
    asked = [queue_id for queue_id in queue_ids if queue_id is not None]
    return set(await store.those_below(connection, caller.job_queue_id, asked)) if asked else set()


async def may_change(connection: AsyncConnection, caller: Caller, queue_id: int | None) -> bool:
    """Whether the caller may change the queue, or make one in it."""
    return caller.has(Right.EDIT_QUEUES) and bool(await inside(connection, caller, [queue_id]))


async def must_be_inside(connection: AsyncConnection, caller: Caller, queue_id: int | None) -> None:
    """The queue (None: the root) is the one that the caller is bound to, or below it."""
    if not await inside(connection, caller, [queue_id]):
        raise OtherSubtree(
            f"this token is bound to queue {caller.job_queue_id}: it changes what is in that queue"
            " or below, and moves nothing in or out"
        )


def is_bound_to(caller: Caller, queue_id: int) -> bool:
    """The bound queue itself has its name and place from who bound the token."""
    return caller.job_queue_id == queue_id


def must_not_be_bound_to(caller: Caller, queue_id: int, what: str) -> None:
    if is_bound_to(caller, queue_id):
        raise OtherSubtree(f"this token is bound to queue {queue_id}, and may not {what} it")
