"""The land as the camera sees it: a heightfield, drawn in columns from the near to the far."""

import math
from dataclasses import dataclass, field

from examples.animation.camera import Camera
from examples.animation.cover import COVERS
from examples.animation.land import SIDE, Land
from examples.animation.sky import Colour, Sky

_NEAR, _FAR = 5.0, 430.0
_MASK = SIDE - 1  # SIDE is a power of two: `& _MASK` finds the place on the map


class Daylight(dict[int, float]):
    """How much of the lamp's light each cell gets: 0 in the shade .. 1; worked out when asked."""

    def __init__(self, land: Land, air: Sky) -> None:
        self._land = land
        self._east, self._north, self._up = air.shining
        self._rise = self._up / math.hypot(self._east, self._north)

    def __missing__(self, cell: int) -> float:
        east, north = self._land.cover.slope(cell)
        facing = self._up - east * self._east - north * self._north
        facing /= math.sqrt(1 + east * east + north * north)
        skyline = self._land.skyline(cell, north=self._north > 0)
        sunny = 6 * (self._rise - skyline) + 0.5
        self[cell] = light = max(0.0, facing) * min(1.0, max(0.0, sunny))
        return light


@dataclass(frozen=True)
class Scene:
    """All that a frame shows, and from where."""

    eye: Camera
    air: Sky
    land: Land
    light: Daylight
    depths: list[tuple[float, float, float]]  # as from `depths`


@dataclass(frozen=True)
class Column:
    """A column of the picture with its land drawn, and what drawing its water takes."""

    pixels: bytearray  # 3 bytes a row, from the top
    water: list[tuple[int, int]] = field(default_factory=list)  # rows from, to
    # Land from the near to the far: rows of its foot and of its top in a mirror, and its colour.
    slopes: list[tuple[int, int, bytes]] = field(default_factory=list)


def depths(eye: Camera) -> list[tuple[float, float, float]]:
    """Where a column looks: the depth in cells, rows for each cell there, how clear the air is."""
    steps = []
    depth, coarse = _NEAR, 480 / eye.columns  # a smaller picture shows less, and takes fewer steps
    while depth < _FAR:
        clear = math.exp(-((depth / 330) ** 1.6)) * min(1.0, (_FAR - depth) / 60)
        steps.append((depth, eye.focal / depth, clear))
        depth += coarse * (0.3 + 0.0115 * depth)
    return steps


def draw_land(scene: Scene, number: int, sky: bytes) -> Column:
    """Draw the land of one column over its sky, and find its water."""
    eye, heights, peak = scene.eye, scene.land.height, scene.land.peak
    (dx, dy), horizon, up = eye.ray(number), eye.horizon(number), eye.height
    x0, y0 = eye.x + SIDE, eye.y + SIDE  # positive all the way, so int() rounds down
    haze = _haze(sky[3 * int(horizon) :], scene.air.horizon)
    column = Column(bytearray(sky))
    lowest = eye.rows  # from this row down everything is hidden by what is drawn
    for depth, scale, clear in scene.depths:
        if horizon + (up - peak) * scale >= lowest:
            break  # from here on not even the highest peak would show
        x, y = x0 + depth * dx, y0 + depth * dy
        left, top = int(x), int(y)
        u, v = x - left, y - top
        cell = (top & _MASK) * SIDE + (left & _MASK)
        # As `_between` does; this is the busiest line of all, and a call costs as much as the sum.
        near = heights[cell] + u * (heights[cell + 1] - heights[cell])
        far = heights[cell + SIDE] + u * (heights[cell + SIDE + 1] - heights[cell + SIDE])
        height = near + v * (far - near)
        foot = int(horizon + up * scale)
        row = max(0, int(horizon + (up - height) * scale) if height > 0 else foot)
        if row >= lowest:
            continue
        if height > 0:
            colour = _colour(scene, cell, u, v, clear, haze)
            column.pixels[3 * row : 3 * lowest] = colour * (lowest - row)
            column.slopes.append((foot, int(horizon + (up + height) * scale), colour))
        else:
            column.water.append((row, lowest))
        lowest = row
    return column


def _between(values: dict[int, float], cell: int, u: float, v: float) -> float:
    """The value at a place between four cells: u of the way east and v of the way north."""
    near, far = values[cell], values[cell + SIDE]
    near += u * (values[cell + 1] - near)
    far += u * (values[cell + SIDE + 1] - far)
    return near + v * (far - near)


def _haze(behind: bytes, horizon: Colour) -> list[float]:
    """The air far away: the colour of the horizon, lighter where the sun is near."""
    return [(min(a, b + 90) + 2 * b) / 3 for a, b in zip(behind, horizon, strict=False)]


def _colour(scene: Scene, cell: int, u: float, v: float, clear: float, haze: list[float]) -> bytes:
    """What grows there, in the light of the hour, through the air between."""
    light = _between(scene.light, cell, u, v)
    cover = COVERS[int(_between(scene.land.cover, cell, u, v))]
    ambient, lamp = scene.air.ambient, scene.air.lamp
    return bytes(
        min(255, int(far + (own * (dim + bright * light) - far) * clear))
        for far, own, dim, bright in zip(haze, cover, ambient, lamp, strict=True)
    )
