"""The land below the flight: mountains around a fjord, on a map whose opposite edges meet."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random

from examples.animation.cover import Cover

SIDE = 512  # cells; one cell is the unit of every length here
_SEABED = -7.0

Grid = list[list[float]]


@dataclass(frozen=True)
class Land:
    """What each cell is like; cell (x, y) is at index `y * SIDE + x`."""

    # Goes on for a row and a cell past the map, so that `index + SIDE + 1` is in it.
    height: list[float]  # above the water
    peak: float  # the highest of them
    cover: Cover
    # Slopes of the sight lines to the skyline, for every fourth cell each way: shadows are soft.
    north: Grid
    south: Grid

    def skyline(self, cell: int, *, north: bool) -> float:
        """How steeply one looks up from a cell to the skyline towards +y, or towards -y."""
        slopes = self.north if north else self.south
        y, x = cell // SIDE / 4, cell % SIDE / 4
        top, left = int(y), int(x)
        near, far = slopes[top % len(slopes)], slopes[(top + 1) % len(slopes)]
        right = (left + 1) % len(near)
        here = near[left] + (x - left) * (near[right] - near[left])
        there = far[left] + (x - left) * (far[right] - far[left])
        return here + (y - top) * (there - here)


@cache
def land() -> Land:
    """The one land there is: the same on every machine."""
    heights = _carved(_mountains(Random(20)))  # noqa: S311  # a picture, no secret
    height = [value for row in heights for value in row]
    height += height[: SIDE + 1]
    sparse = [column[::4] for column in _turned(heights)[::4]]
    north = _turned([_skyline(column[::-1])[::-1] for column in sparse])
    south = _turned([_skyline(column) for column in sparse])
    return Land(height, max(height), Cover(height, SIDE), north, south)


def fjord(y: float) -> float:
    """The x of the fjord's middle at this y; a closed curve on the map."""
    turn = 2 * math.pi * y / SIDE
    return SIDE / 2 + 34 * math.sin(turn) + 13 * math.sin(2 * turn + 1.1)


def _mountains(random: Random) -> Grid:
    """Ridges from 0 to about 1, finer ones added at each doubling, and rougher the higher."""
    rough = [[random.random() for _ in range(8)] for _ in range(8)]
    folded = _doubled(_doubled(rough))
    grid = [[1 - abs(3.2 * value - 1.6) for value in row] for row in folded]
    strength, noise = 0.52, random.random
    while len(grid) < SIDE:
        grid = [
            [value + strength * (noise() - 0.5) * (0.2 + 0.45 * value) for value in row]
            for row in _doubled(grid)
        ]
        strength *= 0.42
    return grid


def _doubled(grid: Grid) -> Grid:
    """Twice as many cells each way, rounded as a B-spline is."""
    return _turned(list(map(_stretched, _turned(list(map(_stretched, grid))))))


def _stretched(row: list[float]) -> list[float]:
    left, right = row[-1:] + row[:-1], row[1:] + row[:1]
    pairs = (
        (0.75 * b + 0.25 * a, 0.75 * b + 0.25 * c) for a, b, c in zip(left, row, right, strict=True)
    )
    return [value for pair in pairs for value in pair]


def _turned(grid: Iterable[Iterable[float]]) -> Grid:
    return [list(row) for row in zip(*grid, strict=True)]


def _carved(grid: Grid) -> Grid:
    """Heights in cells: the mountains, with the fjord cut through them down to the seabed."""
    return [list(_across(row, fjord(y))) for y, row in enumerate(grid)]


def _across(row: list[float], middle: float) -> Iterator[float]:
    for x, value in enumerate(row):
        rugged = max(0.02, value)
        bank = (abs(x - middle) + 26 * rugged - 25) / 120
        if bank >= 1:
            yield _SEABED + 71.28 * rugged
        elif bank <= 0:
            yield _SEABED
        else:
            rise = 0.08 * min(1.0, 4 * bank) + bank * bank * (3 - 2 * bank)
            yield _SEABED + 66 * rugged * rise


def _skyline(line: list[float]) -> list[float]:
    """For each point of a line that closes on itself: the steepest slope up to an earlier point.

    Looks back over a hull of the peaks that can still be seen, so a line costs time linear in it.
    """
    hull: list[tuple[int, float]] = []
    slopes = []
    for at, height in enumerate(line + line):
        while len(hull) > 1 and _steeper(hull[-2], hull[-1], at, height):
            hull.pop()
        slopes.append((hull[-1][1] - height) / (4 * (at - hull[-1][0])) if hull else 0.0)
        hull.append((at, height))
    return slopes[len(line) :]


def _steeper(far: tuple[int, float], near: tuple[int, float], at: int, height: float) -> bool:
    return (far[1] - height) * (at - near[0]) >= (near[1] - height) * (at - far[0])
