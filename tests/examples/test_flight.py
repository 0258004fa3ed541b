"""What the pictures show: day and night, a fjord that is open all the way, true shadows."""

import math
from itertools import pairwise
from random import Random

import pytest

from examples.animation.camera import camera
from examples.animation.flight import frame
from examples.animation.land import SIDE, _skyline, fjord, land
from examples.animation.sky import sky
from tests.examples.png_reader import Picture

NOON, NIGHT = 0.3, 0.85


def picture(moment: float, width: int = 64, height: int = 36) -> Picture:
    return Picture(width, height, frame(moment, width, height))


def test_noon_is_bright_and_night_is_dark_yet_not_black() -> None:
    assert 100 < picture(NOON).brightness < 220
    assert 10 < picture(NIGHT).brightness < 70


def test_the_sky_is_above_and_the_dark_water_below() -> None:
    noon = picture(NOON)
    top, bottom = noon.pixels[: 3 * 64 * 4], noon.pixels[-3 * 64 * 4 :]
    assert sum(top) > 1.2 * sum(bottom)


@pytest.mark.parametrize("size", [(16, 16), (33, 21), (64, 36)])
def test_a_picture_may_have_any_size(size: tuple[int, int]) -> None:
    assert len(frame(0.5, *size)) == 3 * size[0] * size[1]


def test_the_camera_never_meets_the_land() -> None:
    ground = land()
    for step in range(SIDE):
        eye = camera(step / SIDE, 16, 32)
        assert ground.height[int(eye.y) * SIDE + int(eye.x)] < 0 < eye.height


def test_the_fjord_and_the_flight_close_on_themselves() -> None:
    assert fjord(SIDE) == pytest.approx(fjord(0))
    before, after = camera(0, 16, 32), camera(1, 16, 32)
    assert (after.x, after.height, after.yaw) == pytest.approx(
        (before.x, before.height, before.yaw)
    )
    assert sky(1).sun == pytest.approx(sky(0).sun)


def test_the_sun_rises_behind_the_camera_and_sets_before_it() -> None:
    suns = [sky(step / 200).sun for step in range(200)]
    rises = next(b for a, b in pairwise(suns) if a[2] < 0 <= b[2])
    sets = next(b for a, b in pairwise(suns) if a[2] >= 0 > b[2])
    assert rises[1] < -0.9
    assert sets[1] > 0.9
    assert all(math.hypot(*sun) == pytest.approx(1) for sun in suns)


def test_the_stars_are_out_at_night_only() -> None:
    assert sky(NIGHT).stars == 1
    assert sky(NOON).stars == 0


def test_a_skyline_is_the_steepest_view_back_along_the_whole_line() -> None:
    random = Random(7)
    line = [random.uniform(0, 50) for _ in range(40)]
    twice = line + line
    expected = [
        max((twice[far] - twice[at]) / (at - far) for far in range(at)) / 4
        for at in range(len(line), len(twice))
    ]
    assert _skyline(line) == pytest.approx(expected)
