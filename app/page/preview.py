"""What a change of a queue would do to entitlements, before it is saved."""

import asyncio
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.access import Right
from app.caller import needs
from app.errors import Invalid
from app.fields import PathId, within
from app.jobqueues.schemas import JobQueueChange
from app.jobqueues.service import JobQueueNotFound
from app.page.forms import Sent, made
from app.page.queues import settings_of
from app.page.render import html
from app.page.route import LoggedIn, PageRoute
from app.page.trial import agents_that_may_work, copied
from app.policy.entitled import entitled
from app.policy.tree import Queue
from app.scheduler.kept import KeptFarm
from app.scheduler.router import AtTheDesk

router = APIRouter(
    route_class=PageRoute,
    prefix="/page",
    include_in_schema=False,
    dependencies=[needs(Right.EDIT_QUEUES)],
)

SHOWN = 8

ATTRIBUTES = {
    "priority": "priority",
    "weight": "weight",
    "minimum_agents": "minimum",
    "maximum_agents": "maximum",
    "prefer_running_jobs": "prefer_running_jobs",
}


class Effect(NamedTuple):
    """The agents that a queue is entitled to, now and after the change."""

    name: str
    now: int
    after: int


@router.post("/queues/{queue_id}/preview")
async def preview(
    queue_id: PathId, form: Sent, request: Request, desk: AtTheDesk, session: LoggedIn
) -> Response:
    asked = made(JobQueueChange, settings_of(form))
    kept = await desk.look()
    if queue_id not in kept.queues:
        raise JobQueueNotFound(f"there is no queue with id {queue_id}")
    own, others = await _effects(kept, queue_id, asked.sent())
    shown = html(request, session, "preview.html", own=own, others=others[:SHOWN], all=len(others))
    return Response(shown, media_type="text/html")


async def _effects(
    kept: KeptFarm, queue_id: int, values: dict[str, Any]
) -> tuple[Effect, list[Effect]]:
    """Of the queue itself, and of the others that it changes something for, the most first."""
    copies = await copied(kept)
    agents = agents_that_may_work(kept)
    before = await asyncio.to_thread(entitled, copies[0], agents)
    for name, value in values.items():
        if name in ATTRIBUTES:
            setattr(copies[queue_id], ATTRIBUTES[name], value)
    _check(copies[queue_id])
    after = await asyncio.to_thread(entitled, copies[0], agents)
    found = {
        at: Effect(_path(kept, queue), before[queue], after[queue])
        for at, queue in copies.items()
        if at and (at == queue_id or before[queue] != after[queue])
    }
    own = found.pop(queue_id)
    return own, sorted(found.values(), key=lambda one: (-abs(one.after - one.now), one.name))


def _check(queue: Queue) -> None:
    try:
        within(queue.minimum, queue.maximum)
    except ValueError as apart:
        raise Invalid(str(apart), field="minimum_agents") from apart


def _path(kept: KeptFarm, queue: Queue) -> str:
    names: list[str] = []
    at: Queue | None = queue
    while at is not None and at.parent is not None:
        names.append(kept.names.get(at.id, "…"))
        at = at.parent
    return "/" + "/".join(reversed(names))
