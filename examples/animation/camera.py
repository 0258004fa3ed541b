"""Where the picture is taken from: low above the fjord, along its bends."""

import math
from dataclasses import dataclass

from examples.animation.land import SIDE, fjord

_AHEAD = 60.0  # cells; the camera looks at where it will be by then


@dataclass(frozen=True)
class Camera:
    """A place and a direction, and how they meet the picture; x, y and height are in cells.

    A row is half as high as a column is wide, so that edges come out smooth.
    """

    x: float
    y: float
    height: float
    yaw: float  # radians from north to east
    bank: float  # rows by which the horizon falls from one column to the next
    columns: int
    rows: int

    @property
    def focal(self) -> float:
        """Rows that one cell spans at a depth of one cell."""
        return 1.62 * self.columns

    def ray(self, column: float) -> tuple[float, float]:
        """How far x and y go in this column for each cell of depth."""
        side = 2 * (column + 0.5 - self.columns / 2) / self.focal
        east, north = math.sin(self.yaw), math.cos(self.yaw)
        return east + side * north, north - side * east

    def horizon(self, column: float) -> float:
        """The row of the horizon in this column."""
        return 0.44 * self.rows + self.bank * (column - self.columns / 2)


def camera(moment: float, columns: int, rows: int) -> Camera:
    """The camera at this part of the flight; at 1 it is back where it was at 0."""
    y = SIDE * moment
    yaw, soon = _bearing(y), _bearing(y + _AHEAD)
    height = 13 + 4 * math.sin(2 * math.pi * moment + 2)
    return Camera(fjord(y), y, height, yaw, 0.44 * (yaw - soon), columns, rows)


def _bearing(y: float) -> float:
    return math.atan2(fjord(y + _AHEAD) - fjord(y), _AHEAD)
