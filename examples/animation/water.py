"""The water of the fjord: it mirrors the mountains and the sky, and ripples."""

import math
from random import Random

from examples.animation.relief import Column, Scene

_WAVES = 1024


def _swell(random: Random) -> list[float]:
    """Heights along a row of waves of several lengths, which ends where it begins."""
    parts = [(n, random.uniform(0, 2 * math.pi)) for n in (16, 24, 37, 53, 81)]
    return [
        sum(math.sin(2 * math.pi * n * at / _WAVES + phase) for n, phase in parts) / 10
        for at in range(_WAVES)
    ]


_SWELL = _swell(Random(3))  # noqa: S311  # a picture, no secret


def draw_water(scene: Scene, number: int, column: Column, mirrored_sky: bytes) -> None:
    """Fill the water of one column, two rows at a time."""
    eye, pixels = scene.eye, column.pixels
    mirror, last = _mirror(column, mirrored_sky), eye.rows - 1
    (dx, dy), horizon, reach = eye.ray(number), eye.horizon(number), eye.height * eye.focal
    # Two trains of waves cross each other; the phase of each, at the camera and per cell of depth.
    first, first_step = 9 * eye.y + 4 * eye.x, 9 * dy + 4 * dx
    second, second_step = 7 * eye.y - 6 * eye.x, 7 * dy - 6 * dx
    fade = 0.9 / eye.focal
    deep_r, deep_g, deep_b = (0.25 * value for value in scene.air.zenith)
    for top, bottom in column.water:
        for row in range(top, bottom, 2):
            drop = max(1.0, row + 1 - horizon)
            depth = reach / drop
            wave = _SWELL[int(first + depth * first_step) % _WAVES]
            wave += _SWELL[int(second + depth * second_step) % _WAVES]
            at = 3 * min(last, int(row + 0.18 * wave * drop))
            clear = 0.9 - fade * drop + 0.12 * wave
            red, green, blue = mirror[at : at + 3]
            end = min(bottom, row + 2)
            pixels[3 * row : 3 * end] = (end - row) * bytes(
                (
                    int(deep_r + (red - deep_r) * clear),
                    int(deep_g + (green - deep_g) * clear),
                    int(deep_b + (blue - deep_b) * clear),
                )
            )


def _mirror(column: Column, mirrored_sky: bytes) -> bytearray:
    """The column as still water shows it: the farther slopes, and the nearer ones over them."""
    mirror = bytearray(mirrored_sky)
    rows = len(mirror) // 3
    for foot, top, colour in reversed(column.slopes):
        start, end = max(0, foot), min(rows, top)
        if start < end:
            mirror[3 * start : 3 * end] = colour * (end - start)
    return mirror
