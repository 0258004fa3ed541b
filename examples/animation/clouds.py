"""Thin clouds that drift high above the camera."""

from math import floor
from random import Random

_SIDE = 64
_THIN = 0.5  # there is no cloud where the noise is below this
_NOISE = [random.random() for random in [Random(11)] for _ in range(_SIDE * _SIDE)]  # noqa: S311  # a picture, no secret


def cloud(x: float, y: float) -> float:
    """How much of the sky the clouds cover at this place of theirs: 0 none .. 0.8."""
    thick = 0.55 * _noise(x * 0.5, y * 0.22)
    if thick + 0.45 < _THIN:  # whatever the finer ones add
        return 0.0
    thick += 0.3 * _noise(x * 1.3, y * 0.6) + 0.15 * _noise(x * 3.1, y * 1.7)
    return min(0.8, max(0.0, 3.2 * (thick - _THIN)))


def _noise(x: float, y: float) -> float:
    """Random values at whole places, and smooth between them."""
    left, top = floor(x), floor(y)
    u, v = x - left, y - top
    u *= u * (3 - 2 * u)
    v *= v * (3 - 2 * v)
    right, left = (left + 1) % _SIDE, left % _SIDE
    row, below = top % _SIDE * _SIDE, (top + 1) % _SIDE * _SIDE
    above = _NOISE[row + left] + u * (_NOISE[row + right] - _NOISE[row + left])
    under = _NOISE[below + left] + u * (_NOISE[below + right] - _NOISE[below + left])
    return above + v * (under - above)
