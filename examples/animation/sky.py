"""The hour of the day: where the sun and the moon stand, and the colours they give."""

import math
from dataclasses import dataclass
from itertools import pairwise

Colour = tuple[float, float, float]  # red, green, blue
Direction = tuple[float, float, float]  # east, north, up; of length 1


@dataclass(frozen=True)
class Sky:
    """Light and colours at one moment; the moon is full, and stands opposite the sun."""

    sun: Direction
    zenith: Colour  # 0..255
    horizon: Colour  # 0..255
    lamp: Colour  # what the sun, or after it the moon, adds to ground that faces it; 1 is daylight
    ambient: Colour  # what reaches the ground everywhere; 1 is daylight
    stars: float  # 0 by day, 1 at night

    @property
    def moon(self) -> Direction:
        east, north, up = self.sun
        return -east, -north, -up

    @property
    def shining(self) -> Direction:
        """Where the light on the ground comes from."""
        return self.sun if self.sun[2] > _DUSK else self.moon


_DUSK = -0.08  # the sine of the sun's elevation where the moon takes over

# By the sine of the sun's elevation: zenith, horizon, lamp, ambient.
_HOURS: list[tuple[float, Colour, Colour, Colour, Colour]] = [
    (-1.00, (8, 14, 42), (34, 54, 96), (0.42, 0.52, 0.78), (0.13, 0.18, 0.32)),
    (-0.30, (12, 18, 52), (44, 56, 104), (0.32, 0.38, 0.60), (0.15, 0.19, 0.33)),
    (_DUSK, (26, 32, 84), (146, 82, 104), (0.00, 0.00, 0.00), (0.24, 0.22, 0.34)),
    (0.02, (52, 66, 134), (250, 138, 84), (0.75, 0.36, 0.20), (0.34, 0.29, 0.38)),
    (0.16, (74, 112, 184), (255, 196, 136), (1.05, 0.72, 0.46), (0.38, 0.38, 0.46)),
    (0.45, (60, 120, 206), (188, 214, 236), (1.08, 0.98, 0.84), (0.38, 0.44, 0.52)),
    (1.00, (48, 108, 204), (178, 210, 238), (1.06, 1.02, 0.94), (0.40, 0.46, 0.54)),
]


def sky(moment: float) -> Sky:
    """The sky at this part of a day: 0 is just before sunrise, 1 is the next day's 0.

    The golden hours pass slowly and the night fast.
    """
    hour = 2 * math.pi * moment - 0.5
    turn = hour + 0.15 * math.cos(hour) - 0.33 * math.sin(2 * hour)
    east, north, up = -0.10, -math.cos(turn), math.sin(turn)
    length = math.hypot(east, north, up)
    sun = (east / length, north / length, up / length)
    zenith, horizon, lamp, ambient = _hour(sun[2])
    return Sky(sun, zenith, horizon, lamp, ambient, min(1.0, max(0.0, -0.2 - 4 * sun[2])))


def _hour(elevation: float) -> list[Colour]:
    for (low, *before), (high, *after) in pairwise(_HOURS):
        if elevation <= high:
            part = (elevation - low) / (high - low)
            return [_mixed(a, b, part) for a, b in zip(before, after, strict=True)]
    return list(_HOURS[-1][1:])


def _mixed(a: Colour, b: Colour, part: float) -> Colour:
    red, green, blue = (x + (y - x) * part for x, y in zip(a, b, strict=True))
    return red, green, blue
