"""Figures as they were: of an hour, a day or a month."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from app.figures import store
from app.figures.keeping import together
from app.figures.schemas import FarmFigures, Point, QueueChanged, QueueFigure, Span
from app.jobqueues.service import resolve

MOST_QUEUES = 12
MOST_CHANGES = 200
ROOT_ID = 0
DAY = 86_400


class _Scale(NamedTuple):
    """How far back, in which rows, and how long each point is; all in seconds."""

    back: int
    rows: int
    step: int


_SCALES = {
    Span.HOUR: _Scale(3_600, store.MINUTE, 60),
    Span.DAY: _Scale(DAY, store.MINUTE, 300),
    Span.MONTH: _Scale(31 * DAY, store.HOUR, 3_600),
}


async def figures(connection: AsyncConnection, span: Span, queue: str | None) -> FarmFigures:
    """Of the queue of this fullpath (None: the root) and those right below it."""
    parent = await resolve(connection, None, queue or "/", "queue")
    scale = _SCALES[span]
    begin = await store.ago(connection, scale.back)
    end = await store.ago(connection, -1)
    of_time = scale.rows, begin, end
    own = ROOT_ID if parent is None else parent
    children = await store.children(connection, parent)
    busiest = await store.busiest(connection, *of_time, children, MOST_QUEUES)
    shown = [own, *list(dict.fromkeys([*busiest, *sorted(children)]))[:MOST_QUEUES]]
    rows = await store.of_queues(connection, *of_time, shown)
    names = {own: queue or "/"} | {at: children[at] for at in shown if at in children}
    changes = await store.changes(connection, begin, MOST_CHANGES)
    return FarmFigures(
        span=span,
        step_seconds=scale.step,
        names=names,
        points=[_point(at, some, shown) for at, some in _steps(rows, scale.step)],
        changes=[QueueChanged.model_validate(dict(row)) for row in changes],
    )


def _steps(
    rows: Sequence[RowMapping], step: int
) -> list[tuple[datetime, list[RowMapping | dict[str, Any]]]]:
    """The rows of each step that has any, by time."""
    found: dict[int, list[RowMapping | dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(int(row["at"].timestamp()) // step, []).append(row)
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    return [(begin + timedelta(seconds=at * step), some) for at, some in found.items()]


def _point(
    at: datetime, rows: Sequence[RowMapping | dict[str, Any]], shown: Sequence[int]
) -> Point:
    one = together(rows)
    started = one["jobs_started"]
    queues = {
        queue_id: QueueFigure(assigned=numbers[0], entitled=numbers[1], waiting=numbers[2])
        for queue_id in shown
        if (numbers := one["queues"].get(str(queue_id))) is not None
    }
    return Point(
        at=at,
        agents=one["agents"],
        queues=queues,
        tasks_done=one["tasks_done"],
        tasks_failed=one["tasks_failed"],
        jobs_started=started,
        mean_wait=one["wait_seconds"] / started if started else None,
        longest_wait=one["longest_wait"],
    )
