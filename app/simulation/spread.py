"""From a few plays to a spread: quantiles, and by how much they are widened."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isinf

UNKNOWN = float("nan")
UNTOLD = (UNKNOWN, UNKNOWN, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Widened:
    """By what was measured of farms that did other than was expected: see docs/estimates.md.

    Of what was expected to take x seconds, one in ten took less than `low` of x and one in ten more
    than `high` of x. Where the plays differ by more than that they are right.
    """

    low: float
    high: float


START = Widened(1.0, 3.63)
FINISH = Widened(1.0, 2.64)


def quantile(ordered: Sequence[float], part: float) -> float:
    """What one more play exceeds in all but `part` of cases, if it is like these.

    Of nine plays 10 of a hundred is the first, 90 the last; of fewer it can be no further out.
    """
    place = min(max(part * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = int(place + 1e-9)
    share = place - below
    if share < 1e-9:  # noqa: PLR2004
        return ordered[below]
    return ordered[below] * (1 - share) + ordered[below + 1] * share


def spread(seconds: Sequence[float], widened: Widened) -> tuple[float, float, float]:
    """10, 50 and 90 of a hundred, by one value of each play; infinite: it did not come to it."""
    ordered = sorted(seconds)
    low, middle, high = (quantile(ordered, part) for part in (0.1, 0.5, 0.9))
    if not ordered or isinf(high):
        return UNTOLD
    return min(low, middle * widened.low), middle, max(high, middle * widened.high)


def position(ahead: Sequence[float]) -> float:
    """The middle of what the plays say, as a whole number; unknown where most do not say."""
    middle = sorted(ahead)[len(ahead) // 2]
    return UNKNOWN if middle == inf else middle
