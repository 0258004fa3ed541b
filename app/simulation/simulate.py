"""A request simulated: the farm as it would be, and as it is without the changes."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from app.simulation import live
from app.simulation.beside import in_turn
from app.simulation.course import Course
from app.simulation.durations import Model
from app.simulation.edits import Edits, Wrong
from app.simulation.outcome import outcome
from app.simulation.picture import Picture, Place
from app.simulation.play import Played
from app.simulation.schemas import MAX_AGENTS, MAX_QUEUES, SimulationRequest

Told = dict[str, Any]
Both = Callable[[Callable[[], Told], Callable[[], Told]], tuple[Told, Told]]

SHOWN_QUEUES = 2_000
SHOWN_JOBS = 100
SHOWN_SERIES = 100


class TooLong(Exception):
    """It takes longer than it may."""


def simulate(
    asked: SimulationRequest, url: str, seconds: float, both: Both = in_turn
) -> dict[str, Any]:
    """What `answers.Simulation` is made of. Raises `Wrong` and `TooLong`.

    `both` makes the plays with the changes and without them.
    """
    deadline = time.monotonic() + seconds
    base, edits = _given(asked) if asked.farm else asyncio.run(_live(asked, url, seconds))
    plain, changed = base.picture, edits.picture
    jobs = asked.jobs or [*sorted(changed.jobs)[:SHOWN_JOBS], *edits.new_jobs[:SHOWN_JOBS]]
    jobs = sorted(set(jobs))

    def with_changes() -> Told:
        return _play(asked, changed, jobs, deadline)

    def without() -> Told:
        return _play(asked, plain, jobs, deadline)

    baseline = None
    if _has_baseline(asked, base):
        baseline, found = both(without, with_changes)
    else:
        found = with_changes()
    return {
        "hours": asked.hours,
        "seed": asked.seed,
        "measured_jobs": len(plain.models),
        "changed": found,
        "baseline": baseline,
    }


def _has_baseline(asked: SimulationRequest, base: Edits) -> bool:
    """Whether it is asked for; the workload is in it where there are changes to compare."""
    if not asked.baseline or not (asked.changes or asked.workload):
        return False
    if asked.changes:
        base.add_work(asked.workload, "workload")
    return not base.errors  # else the work goes where only the changes make a queue


def _given(asked: SimulationRequest) -> tuple[Edits, Edits]:
    base = Edits(Picture(), asked.spread)
    assert asked.farm is not None
    base.make(asked.farm)
    base.check()
    return base, _edited(asked, base.picture)


async def _live(asked: SimulationRequest, url: str, seconds: float) -> tuple[Edits, Edits]:
    """The farm as it is, and as it would be: what is measured depends on where jobs would be."""
    async with live.snapshot(url, seconds) as connection:
        plain = await live.rows(connection)
        edits = _edited(asked, plain)
        await live.measure(connection, plain, asked.spread, edits.picture.jobs.values())
    edits.picture.learn_from(plain)
    return Edits(plain, asked.spread), edits


def _edited(asked: SimulationRequest, plain: Picture) -> Edits:
    edits = Edits(plain.copy(), asked.spread)
    edits.apply(asked.changes)
    edits.add_work(asked.workload, "workload")
    errors = [*edits.errors, *_unknown(asked, plain, edits.picture)]
    if errors:
        raise Wrong(errors)
    return edits


def _unknown(asked: SimulationRequest, plain: Picture, changed: Picture) -> list[tuple[Place, str]]:
    """What should be told of and is not there, before or after; and what is too much."""
    errors: list[tuple[Place, str]] = [
        (("series", place), f"there is no queue {fullpath[:200]}")
        for place, fullpath in enumerate(asked.series)
        if plain.queue_at(fullpath) is None and changed.queue_at(fullpath) is None
    ]
    errors += [
        (("jobs", place), f"there is no unfinished job with id {job_id}")
        for place, job_id in enumerate(asked.jobs)
        if job_id not in plain.jobs and job_id not in changed.jobs
    ]
    if len(changed.agents) > MAX_AGENTS or len(changed.queues) > MAX_QUEUES:
        most = f"{MAX_AGENTS} agents and {MAX_QUEUES} queues"
        errors.append((("farm",), f"a simulation has at most {most}: this farm is larger"))
    return errors


def _play(asked: SimulationRequest, picture: Picture, jobs: list[int], deadline: float) -> Told:
    horizon = asked.hours * 3_600

    def watch() -> None:
        if time.monotonic() > deadline:
            reached = played.forward.now / 3_600 if started else 0.0
            raise TooLong(
                f"it came to {reached:.1f} of {asked.hours:g} hours in the time that a simulation"
                " may take: ask for fewer hours, or without the baseline"
            )

    started = False
    otherwise = Model.of(asked.default_task_seconds, asked.spread)
    played = Played(picture, horizon, asked.seed, otherwise, watch)
    started = True
    queues = {picture.fullpath(queue_id): queue_id for queue_id in picture.queues}
    by_level = sorted(queues, key=lambda fullpath: (fullpath.count("/"), fullpath))
    named = [one.rstrip("/") for one in asked.series if picture.queue_at(one) is not None]
    top = [fullpath for fullpath in by_level if fullpath.count("/") == 1][:SHOWN_SERIES]
    series = {fullpath: played.queues[queues[fullpath]] for fullpath in [*top, *named]}
    course = Course(played, asked.step, dict(series))
    course.run()
    shown = {fullpath: queues[fullpath] for fullpath in sorted({*by_level[:SHOWN_QUEUES], *named})}
    return outcome(course, shown, jobs)
