"""What is expected of every unfinished job: the live farm played forward a few times.

Each play draws its own task times, and how far what was measured of a job is off. The answer is
packed, so that who looks one job up has nothing to unpack: rows of `ROW` doubles. The first has the
moment of the reading and the seconds of a processor that it took, the others, by the job's id, the
id, the position, and the two spreads.
"""

import asyncio
import random
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from app.simulation.durations import Model
from app.simulation.live import read
from app.simulation.picture import Picture
from app.simulation.play import Played
from app.simulation.spread import FINISH, START, UNKNOWN, UNTOLD, position, spread

ROW = 8
# With nine each of the ten gaps between them is as likely as another: see `spread.quantile`.
PLAYS = 9
HORIZON = 72 * 3_600.0
MOST_JOBS = 100_000

# Of the time that the process may have; the rest is for what it reads before and writes after.
PLAYING = 0.6
# It may take so much longer on the clock than of a processor: others may want that too.
PATIENCE = 3
# Of task times of which too few were measured, as simulations have it.
SPREAD = 0.5
HOUR = Model.of(3_600, SPREAD)

Course = tuple[float, float, float]  # ahead, start, finish; infinite: not yet
Row = tuple[float, ...]


class _Enough(Exception):
    """It has had its time."""


@dataclass(frozen=True, slots=True)
class Play:
    """One course of the farm, as far as it came: the courses of the jobs by id."""

    reached: float
    jobs: dict[int, Course]


def forecast(url: str, seconds: float) -> bytes:
    """The packed answer; `seconds` is what the process may take in all, on the clock."""
    spent = Spent()
    picture = asyncio.run(read(url, SPREAD, seconds))
    found = rows(picture, list(plays(picture, spent, seconds / PATIENCE * PLAYING)))
    return pack(picture.at, found, time.process_time())


class Spent:
    """Seconds of a processor since it was made; or of the clock, but of `PATIENCE` only one."""

    def __init__(self) -> None:
        self._processor, self._clock = time.process_time(), time.monotonic()

    def __call__(self) -> float:
        clock = time.monotonic() - self._clock
        return max(time.process_time() - self._processor, clock / PATIENCE)


def plays(picture: Picture, spent: Spent, deadline: float, number: int = PLAYS) -> Iterator[Play]:
    """So many, each with an equal part of the time; one that needs more stops where it is."""
    for seed in range(number):
        now = spent()
        yield play(picture, seed, spent, now + max(deadline - now, 0) / (number - seed))


def play(
    picture: Picture, seed: int, spent: Callable[[], float] = lambda: 0.0, until: float = inf
) -> Play:
    def watch() -> None:
        if spent() > until:
            raise _Enough

    drawn = _drawn(picture, seed)
    played = Played(drawn, HORIZON, seed, HOUR, watch)
    with suppress(_Enough):
        played.forward.run(HORIZON)
    courses = {}
    for job_id, job in played.jobs.items():
        progress = played.forward.progress[job]
        ahead = inf if progress.ahead is None else float(progress.ahead)
        courses[job_id] = (ahead, _or_never(progress.next_at), _or_never(progress.finished_at))
    return Play(played.forward.now, courses)


def rows(picture: Picture, played: list[Play]) -> list[Row]:
    """By the job's id, of jobs of which anything is known; times where any were measured."""
    reached = min(one.reached for one in played)
    found: list[Row] = []
    for job_id in sorted(picture.jobs):
        ahead, starts, ends = zip(*(one.jobs[job_id] for one in played), strict=True)
        begin = spread([_within(one, reached) for one in starts], START)
        end = spread([_within(one, reached) for one in ends], FINISH)
        if picture.any_model is None:
            begin = end = UNTOLD
        place = position(ahead)
        if place == place or end[0] == end[0]:  # noqa: PLR0124  # either is a number
            found.append((float(job_id), place, *begin, *end))
    return found[:MOST_JOBS]


def pack(at: float, found: list[Row], took: float) -> bytes:
    packed = array("d", (at, took, *(UNKNOWN,) * (ROW - 2)))
    for row in found:
        packed.extend(row)
    return packed.tobytes()


def _drawn(picture: Picture, seed: int) -> Picture:
    """The picture with task times as they may turn out to be, of each job by itself."""
    draw = random.Random(seed)  # noqa: S311  # repeatable on purpose
    copy = Picture(picture.queues, picture.jobs, picture.agents, picture.failed)
    for job_id, row in picture.jobs.items():
        model = picture.model_of(row) or picture.any_model
        deviations = draw.gauss()
        if model is not None:
            copy.models[job_id] = model.drawn(deviations)
    return copy


def _or_never(seconds: float | None) -> float:
    return inf if seconds is None else seconds


def _within(seconds: float, reached: float) -> float:
    return seconds if seconds <= reached else inf
