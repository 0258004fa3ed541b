"""A token may be bound to a queue: it changes nothing but what is in it or below it.

To be asked under the farm lock: no queue moves between the question and what is done then.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from app.caller import Caller, OtherSubtree
from app.jobqueues import store


async def must_be_inside(connection: AsyncConnection, caller: Caller, queue_id: int | None) -> None:
    """The queue (None: the root) is the one that the caller is bound to, or below it."""
    if caller.job_queue_id is None:
        return
    above = [] if queue_id is None else await store.ancestors(connection, queue_id)
    if caller.job_queue_id not in above:
        raise OtherSubtree(
            f"this token is bound to queue {caller.job_queue_id}: it changes what is in that queue"
            " or below, and moves nothing in or out"
        )


def must_not_be_bound_to(caller: Caller, queue_id: int, what: str) -> None:
    """The bound queue itself has its place from who bound the token."""
    if caller.job_queue_id == queue_id:
        raise OtherSubtree(f"this token is bound to queue {queue_id}, and may not {what} it")
