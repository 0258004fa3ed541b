"""What is behind the mountains: the sky of a frame, column by column."""

import math
from collections.abc import Iterator
from random import Random

from examples.animation.camera import Camera
from examples.animation.clouds import cloud
from examples.animation.sky import Colour, Direction, Sky

_WIDE, _HIGH = 2, 4  # columns and rows that share a colour: the sky is smooth
_SUN, _MOON = 0.9993, 0.9992  # the cosines of their radii, several times the real ones
_CLOUDLESS = 0.03  # so little does the view rise where it meets no cloud yet
_IN_VIEW = 0.5  # the cosine of a bearing that may be in the picture
_ANGLES = 2047  # steps of a cosine from 0 to 1


def backdrop(eye: Camera, air: Sky) -> Iterator[tuple[bytes, bytes]]:
    """For each column: its sky, and what a mirror at the horizon makes of it; 3 bytes a row.

    Below the horizon the sky stays what it was there, and so does the mirrored one above it.
    Water moves too much to mirror the stars.
    """
    stars = _stars(eye, air)
    for number, (sky, mirror) in enumerate(_skies(eye, air)):
        spotted = bytearray(sky)
        for row, spot in stars.get(number, ()):
            spotted[3 * row : 3 * row + 6] = map(max, spotted[3 * row : 3 * row + 6], spot)
        yield bytes(spotted), mirror


def _skies(eye: Camera, air: Sky) -> Iterator[tuple[bytes, bytes]]:
    sunlight = [_sunlight(step / _ANGLES, air.sun[2]) for step in range(_ANGLES + 1)]
    pale = 0.75 - 0.5 * air.stars
    clouds = [255 * min(1.1, a + pale * b) for a, b in zip(air.ambient, air.lamp, strict=True)]
    for start in range(0, eye.columns, _WIDE):
        middle = start + (_WIDE - 1) / 2
        horizon, (east, north) = eye.horizon(middle), eye.ray(middle)
        rises = [(horizon - row) / eye.focal for row in range(0, int(horizon) + 2, _HIGH)]
        view = [(east, north, max(0.0, rise)) for rise in rises]
        pixels = [_pixel(eye, air, sunlight, clouds, direction) for direction in view]
        yield from [_mirrored(pixels, int(horizon) + 2, eye.rows)] * _WIDE


def _stars(eye: Camera, air: Sky) -> dict[int, list[tuple[int, bytes]]]:
    """Row and colour of each star in the picture, by its column; none by day."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for bearing, rise, brightness in _STARS if air.stars else ():
        aside = bearing - eye.yaw
        if math.cos(aside) > _IN_VIEW:
            column = int(eye.columns / 2 + eye.focal / 2 * math.tan(aside))
            row = int(eye.horizon(column) - eye.focal * rise / math.cos(aside))
            level = int(255 * brightness * air.stars)
            if row >= 0:
                found.setdefault(column, []).append((row & ~1, bytes((level, level, level)) * 2))
    return found


def _star(random: Random) -> tuple[float, float, float]:
    """Bearing, rise for each cell of depth, and brightness."""
    return random.uniform(-math.pi, math.pi), random.uniform(0.04, 0.9), random.uniform(0.3, 1) ** 2


_STARS = [_star(random) for random in [Random(9)] for _ in range(1500)]  # noqa: S311  # a picture, no secret


def _mirrored(pixels: list[bytes], seen: int, rows: int) -> tuple[bytes, bytes]:
    upright = [pixel for pixel in pixels for _ in range(_HIGH)][:seen]
    sky = upright + upright[-1:] * rows
    mirror = upright[-1:] * seen + upright[::-1] + upright[:1] * rows
    return b"".join(sky[:rows]), b"".join(mirror[:rows])


def _pixel(
    eye: Camera, air: Sky, sunlight: list[Colour], clouds: list[float], view: Direction
) -> bytes:
    """The sky in this direction, whose length is not 1: it rises by so much for a cell of depth."""
    (zr, zg, zb), (hr, hg, hb) = air.zenith, air.horizon
    east, north, rise = view
    sun = (east * air.sun[0] + north * air.sun[1] + rise * air.sun[2]) / math.hypot(*view)
    high = min(1.0, 1.5 * rise / (rise + 0.22))
    red, green, blue = hr + (zr - hr) * high, hg + (zg - hg) * high, hb + (zb - hb) * high
    sr, sg, sb = sunlight[int(sun * _ANGLES)] if sun > 0 else _moonlight(-sun, air.stars)
    if rise > _CLOUDLESS and (covered := _covered(eye, view)):
        through, bright = 1 - 0.75 * covered, 1 + 0.5 * max(0.0, sun) ** 4
        sr, sg, sb = sr * through, sg * through, sb * through
        red += (clouds[0] * bright - red) * covered
        green += (clouds[1] * bright - green) * covered
        blue += (clouds[2] * bright - blue) * covered
    return bytes((min(255, int(red + sr)), min(255, int(green + sg)), min(255, int(blue + sb))))


def _covered(eye: Camera, view: Direction) -> float:
    """The clouds lie in a plane that bends down to the horizon, and follow the camera slowly."""
    east, north, rise = view
    away = 3.2 / (rise + 0.12)
    thin = min(1.0, 12 * (rise - _CLOUDLESS))
    return thin * cloud(away * east + 0.02 * eye.x + 7, away * north + 0.02 * eye.y)


def _sunlight(cosine: float, elevation: float) -> Colour:
    """What the sun adds to the sky at an angle to it: the disc, its halo and the glow of dusk."""
    strength = min(1.0, max(0.0, 3 * elevation + 0.9))
    dusk = 1 - min(1.0, max(0.0, 2.2 * elevation))
    wide, near = 0.22 * strength * dusk * cosine**6, 0.34 * strength * cosine**60
    core = 0.7 * strength * cosine**1200 + (cosine > _SUN)
    return (
        255 * (wide + near + core),
        150 * wide + (210 - 80 * dusk) * near + 225 * core,
        60 * wide + (170 - 120 * dusk) * near + 190 * core,
    )


def _moonlight(cosine: float, night: float) -> Colour:
    """What the moon adds to the sky at an angle to it, the disc and its halo, when it is dark."""
    disc = 190 * min(1.0, max(0.0, (cosine - _MOON) / 0.00015))
    glow = (0.2 + 0.8 * night) * (disc + 55 * cosine**80 if cosine > 0 else 0.0)
    return glow, glow, 1.05 * glow
