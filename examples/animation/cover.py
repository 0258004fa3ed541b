"""What grows on the land: sand, grass, woods, rock and snow, by height and by how steep it is."""

from collections.abc import Iterator
from itertools import pairwise

Colour = tuple[float, float, float]

_GROUND = [  # from this value of Cover on: red, green, blue
    (0, (150, 132, 100)),  # sand
    (30, (104, 112, 60)),  # grass
    (60, (46, 78, 38)),  # wood
    (95, (62, 72, 50)),
    (125, (104, 96, 88)),  # rock
    (160, (122, 116, 112)),
    (185, (228, 232, 240)),  # snow
    (256, (250, 252, 255)),
]


def _ground() -> Iterator[Colour]:
    for (start, before), (end, after) in pairwise(_GROUND):
        for step in range(end - start):
            part = step / (end - start)
            red, green, blue = (a + (b - a) * part for a, b in zip(before, after, strict=True))
            yield red, green, blue


COVERS = list(_ground())


class Cover(dict[int, float]):
    """What grows on each cell, an index into COVERS; worked out when asked.

    `height` is that of cell (x, y) at `y * side + x`.
    """

    def __init__(self, height: list[float], side: int) -> None:
        self._height, self._side = height, side

    def __missing__(self, cell: int) -> float:
        """Sand at the water, then woods; rock where it is steep or high; snow above."""
        height, (east, north) = self._height[cell], self.slope(cell)
        steep = east * east + north * north
        snow = min(1.0, max(0.0, (height - 30) / 14 - max(0.0, steep - 1.6)))
        rock = min(1.0, max(0.0, (height - 20) / 16, (steep - 0.9) / 1.1))
        wood = min(1.0, max(0.0, (height - 0.6) / 2.4))
        self[cell] = cover = wood * (60 + 90 * rock + 105 * snow)
        return cover

    def slope(self, cell: int) -> tuple[float, float]:
        """Gain in height per cell towards the east and the north."""
        height, side = self._height, self._side
        cells = side * side
        east, west = height[(cell + 1) % cells], height[(cell - 1) % cells]
        north, south = height[(cell + side) % cells], height[(cell - side) % cells]
        return (east - west) / 2, (north - south) / 2
