"""Frame ranges: "1-10x2,20" or start, end and by, as a sequence that costs its number of runs."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, chain, pairwise

MAX_FRAMES = 1_000_000
MAX_RUNS = 10_000  # of a list of frames in no order at all
MAX_CROSSING = 20_000  # frames that are sorted out one by one
SHORT = 200  # characters
DIGITS = 6  # after the point
LARGEST = Decimal(10) ** 9

_NUMBER = r"-?\d{1,10}(?:\.\d{1,6})?"
_PART = re.compile(rf"\s*({_NUMBER})\s*(?:-\s*({_NUMBER})\s*(?:[x:]\s*({_NUMBER})\s*)?)?", re.ASCII)


class FramesRefused(ValueError):
    """The range names no frames, too many, or is not understood; says what to write instead."""


@dataclass(frozen=True, slots=True)
class Run:
    """`count` frames from `first` on, each `step` after the one before."""

    first: Decimal
    step: Decimal
    count: int

    def __getitem__(self, index: int) -> Decimal:
        return self.first + self.step * index

    @property
    def last(self) -> Decimal:
        return self[self.count - 1]

    def takes_in(self, later: "Run") -> bool:
        """Whether this run and one that begins no earlier are together one run of this step."""
        return (
            later.first <= self.last + self.step
            and (later.first - self.first) % self.step == 0
            and (later.count == 1 or later.step == self.step or self._covers(later))
        )

    def _covers(self, later: "Run") -> bool:
        return later.step % self.step == 0 and later.last <= self.last

    def __str__(self) -> str:
        if self.count == 1:
            return _plain(self.first)
        step = "" if self.step == 1 else f"x{_plain(self.step)}"
        return f"{_plain(self.first)}-{_plain(self.last)}{step}"


class Frames:
    """Distinct frames in ascending order; `str()` is the form that `parse` reads."""

    def __init__(self, ascending: Iterable[Run]) -> None:
        self.runs = tuple(ascending)
        self._ends = list(accumulate(run.count for run in self.runs))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> Decimal:
        at = bisect_right(self._ends, index)
        return self.runs[at][index - (self._ends[at] - self.runs[at].count)]

    def __iter__(self) -> Iterator[Decimal]:
        return chain.from_iterable((run[i] for i in range(run.count)) for run in self.runs)

    def __str__(self) -> str:
        return ",".join(map(str, self.runs))

    @property
    def by(self) -> Decimal:
        """The distance between neighbours where all runs agree on one, else 1."""
        steps = {run.step for run in self.runs if run.count > 1}
        return steps.pop() if len(steps) == 1 else Decimal(1)


def stepped(start: Decimal, end: Decimal, by: Decimal) -> Frames:
    """The frames start, start + by, … up to and with `end`; `FramesRefused` if there are none."""
    if max(abs(start), abs(end), abs(by)) > LARGEST:
        raise FramesRefused(f"frames must lie between -{LARGEST} and {LARGEST}")
    if any(number != round(number, DIGITS) for number in (start, end, by)):
        raise FramesRefused(f"frames have at most {DIGITS} digits after the point")
    if by <= 0:
        raise FramesRefused("the step must be above 0")
    if start > end:
        raise FramesRefused(f"{_plain(start)}-{_plain(end)} runs backwards: write the lower first")
    count = int((end - start) // by) + 1
    if count > MAX_FRAMES:
        raise FramesRefused(f"{count} frames: at most {MAX_FRAMES} are allowed")
    return Frames([Run(start, by if count > 1 else Decimal(1), count)])


def parse(text: str) -> Frames:
    """Read "1-10x2,20" (a range may have a step; ranges may overlap); or raise `FramesRefused`."""
    return _parse_short(text) if len(text) <= SHORT else _parse_long(text)


def _parse(text: str) -> Frames:
    runs = _joined([run for part in text.split(",") for run in _part(part).runs])
    apart = all(left.last < right.first for left, right in pairwise(runs))
    frames = Frames(runs if apart and len(runs) <= MAX_RUNS else _merged(runs))
    if len(frames) > MAX_FRAMES:
        raise FramesRefused(f"over {MAX_FRAMES} frames")
    return frames


# Every cycle reads the frames of every runnable job. A long text may be of megabytes once read.
_parse_short = lru_cache(maxsize=4096)(_parse)
_parse_long = lru_cache(maxsize=64)(_parse)


def plain_number(frame: Decimal) -> int | float:
    """A frame as a JSON number: 3, 1.5."""
    return int(frame) if frame == frame.to_integral_value() else float(frame)


def _part(part: str) -> Frames:
    matched = _PART.fullmatch(part)
    if matched is None:
        shown = part.strip()[:40]
        raise FramesRefused(f"{shown!r} is not a frame range: write it like 1-10x2,20")
    start, end, by = matched.groups()
    return stepped(Decimal(start), Decimal(end or start), Decimal(by or 1))


def _joined(runs: list[Run]) -> list[Run]:
    """The runs by their first frame; one that the one before it takes in is part of that."""
    joined: list[Run] = []
    for run in sorted(runs, key=lambda run: (run.first, -run.count)):
        if joined and joined[-1].takes_in(run):
            before = joined[-1]
            last = max(before.last, run.last)
            joined[-1] = Run(
                before.first, before.step, int((last - before.first) / before.step) + 1
            )
        else:
            joined.append(run)
    return joined


def _merged(overlapping: list[Run]) -> list[Run]:
    """Runs that cross each other, or are very many, as distinct ascending ones."""
    crossing = sum(run.count for run in overlapping)
    if crossing > MAX_CROSSING:
        raise FramesRefused(
            f"ranges that cross each other may have {MAX_CROSSING} frames in all, these have"
            f" {crossing}: write them apart, or split the job"
        )
    scale = 10**DIGITS
    points = sorted({int(run[i] * scale) for run in overlapping for i in range(run.count)})
    merged: list[Run] = []
    at = 0
    while at < len(points):
        step = points[at + 1] - points[at] if at + 1 < len(points) else scale
        end = at + 1
        while end < len(points) and points[end] - points[end - 1] == step:
            end += 1
        merged.append(Run(Decimal(points[at]) / scale, Decimal(step) / scale, end - at))
        at = end
    if len(merged) > MAX_RUNS:
        raise FramesRefused(f"over {MAX_RUNS} separate ranges: split the job")
    return merged


def _plain(number: Decimal) -> str:
    """1.50 → 1.5, 2.0 → 2, never an exponent."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
