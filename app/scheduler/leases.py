"""Leases of agents that call, as they are written.

A call renews the lease of an agent that works once more than a part of it is over. Rows that are
written with every call cost the database more than all else of an assignment, and for as long as
some session keeps a snapshot none of their former versions can be cleared away.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from app.clock import steady
from app.scheduler.kept import KeptAgent, Lease
from app.scheduler.store import Alive

AS_GOOD_AS_NEW = 1 / 20  # of a lease


def to_write(
    alive: Iterable[Alive], working: Collection[UUID], agents: Mapping[UUID, KeptAgent]
) -> Iterator[Alive]:
    """All of `alive` but those that work and have a lease that is as good as new."""
    now = steady()
    for one in alive:
        agent = agents.get(one[0])
        if agent is None or agent.lease is None or now >= agent.lease.due or one[0] not in working:
            yield one


def at_least(lease_seconds: float) -> float:
    """How long an agent that was just answered may count on its lease, by its own clock."""
    return round(lease_seconds * (1 - AS_GOOD_AS_NEW), 3)


def written(
    alive: Iterable[Alive],
    agents: Mapping[UUID, KeptAgent],
    lease_seconds: float,
    now: datetime,
    began: float,
) -> None:
    """These were, at `now` of the database; the statement `began` then by this process's clock.

    The longer lease of a poll that waits is no lease to go on with: it is cut when work is found.
    """
    until = now + timedelta(seconds=lease_seconds)
    lease = Lease(until, began + lease_seconds * AS_GOOD_AS_NEW)
    for agent_id, _, seconds, _ in alive:
        if agent := agents.get(agent_id):
            agent.lease = lease if seconds == lease_seconds else None
