"""What a change of a queue would do to entitlements, before it is saved."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.access import Right
from app.caller import needs
from app.errors import Invalid
from app.fields import within
from app.figures.picture import fullpath
from app.jobqueues.schemas import JobQueueChange
from app.jobqueues.service import JobQueueNotFound
from app.page.forms import Sent, made
from app.page.queues import settings_of
from app.page.render import html
from app.page.route import LoggedIn, PageRoute
from app.parameters import PathId
from app.plan.entitlements import Entitlements
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

SETTINGS = {"priority", "weight", "minimum_agents", "maximum_agents", "prefer_running_jobs"}


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
    session.caller.must_stand()
    must_be_there(kept, queue_id, asked.sent())
    entitlements: Entitlements = request.app.state.entitlements
    own, others = await _effects(kept, entitlements, queue_id, asked.sent())
    shown = html(request, session, "preview.html", own=own, others=others[:SHOWN], all=len(others))
    return Response(shown, media_type="text/html")


def must_be_there(kept: KeptFarm, queue_id: int, values: Mapping[str, Any]) -> Queue:
    """The queue, which may have these limits: `JobQueueNotFound`, `Invalid`."""
    queue = kept.queues.get(queue_id)
    if queue is None:
        raise JobQueueNotFound(f"there is no queue with id {queue_id}")
    _check(values.get("minimum_agents", queue.minimum), values.get("maximum_agents", queue.maximum))
    return queue


async def _effects(
    kept: KeptFarm, entitlements: Entitlements, queue_id: int, values: Mapping[str, Any]
) -> tuple[Effect, list[Effect]]:
    """Of the queue itself, and of the others that it changes something for, the most first."""
    queue = kept.queues[queue_id]
    settings = {name: value for name, value in values.items() if name in SETTINGS}
    before, after = await entitlements.tried(queue_id, settings)
    found = {
        at: Effect(fullpath(kept, kept.queues.get(at)), before.get(at, 0), after.get(at, 0))
        for at in before
        if at == queue_id or (at and before.get(at) != after.get(at))
    }
    own = found.pop(queue_id, Effect(fullpath(kept, queue), 0, 0))
    return own, sorted(found.values(), key=lambda one: (-abs(one.after - one.now), one.name))


def _check(minimum: int | None, maximum: int | None) -> None:
    try:
        within(minimum, maximum)
    except ValueError as apart:
        raise Invalid(str(apart), field="minimum_agents") from apart
