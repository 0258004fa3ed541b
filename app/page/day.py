"""A day with a change of a queue, before it is saved: the farm simulated with it and without."""

import json
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.access import Right
from app.caller import needs
from app.figures.picture import fullpath
from app.jobqueues.schemas import JobQueueChange
from app.page.forms import Sent, made
from app.page.preview import SETTINGS, SHOWN, must_be_there
from app.page.queues import settings_of
from app.page.render import html
from app.page.route import LoggedIn, PageRoute
from app.parameters import PathId
from app.scheduler.router import AtTheDesk
from app.simulation.router import AtTheSide, gone

router = APIRouter(
    route_class=PageRoute,
    prefix="/page",
    include_in_schema=False,
    dependencies=[needs(Right.EDIT_QUEUES)],
)

HOURS = 24


class Day(NamedTuple):
    """How a queue fares: agents in the mean, and when its work is over.

    `finish` is in seconds from now; None where it has no work, or some left at the end.
    """

    agents: float
    finish: float | None
    left: int


class Effect(NamedTuple):
    """A queue's day as things are, and with the change."""

    name: str
    now: Day
    after: Day


@router.post("/queues/{queue_id}/day")
async def day(
    queue_id: PathId,
    form: Sent,
    request: Request,
    desk: AtTheDesk,
    session: LoggedIn,
    simulations: AtTheSide,
) -> Response:
    asked = made(JobQueueChange, settings_of(form)).sent()
    kept = await desk.look()
    session.caller.must_stand()
    queue = must_be_there(kept, queue_id, asked)
    change = {"id": queue_id} | {name: asked[name] for name in SETTINGS & asked.keys()}
    body = {
        "hours": HOURS,
        "changes": {"queues": [change]},
        "series": [fullpath(kept, queue)],  # told of, however deep it is
    }
    found = await simulations.simulate(json.dumps(body).encode(), lambda: gone(request))
    session.caller.must_stand()
    own, others = _effects(json.loads(found), queue_id)
    shown = {"own": own, "others": others[:SHOWN], "all": len(others), "hours": HOURS}
    return Response(html(request, session, "day.html", **shown), media_type="text/html")


def _effects(found: dict[str, Any], queue_id: int) -> tuple[Effect, list[Effect]]:
    """Of the queue itself, and of the others that it changes something for, the most first."""
    before = {row["id"]: _day(row) for row in found["baseline"]["queues"]}
    effects = {
        row["id"]: Effect(row["queue"], before[row["id"]], _day(row))
        for row in found["changed"]["queues"]
    }
    own = effects.pop(queue_id)
    others = [one for one in effects.values() if one.now != one.after]
    return own, sorted(others, key=lambda one: (-abs(one.after.agents - one.now.agents), one.name))


def _day(row: dict[str, Any]) -> Day:
    return Day(row["mean_agents"], row["finish_seconds"], row["tasks_left"])
