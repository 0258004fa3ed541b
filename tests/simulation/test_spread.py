"""From plays to positions and spreads: by hand."""

from math import inf, isnan

import pytest

from app.simulation.spread import Widened, position, quantile, spread

AS_PLAYED = Widened(1, 1)
NINE = [90.0, 10.0, 50.0, 30.0, 20.0, 40.0, 80.0, 60.0, 70.0]


def test_of_nine_plays_the_outer_ones_are_the_spread() -> None:
    assert spread(NINE, AS_PLAYED) == pytest.approx((10, 50, 90))


def test_of_other_numbers_it_lies_between_two_plays_and_never_outside_of_them() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == pytest.approx(2.5)
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.4) == pytest.approx(2)
    assert spread([5.0, 3.0], AS_PLAYED) == pytest.approx((3, 4, 5))
    assert spread([7.0], AS_PLAYED) == (7, 7, 7)


def test_it_is_widened_around_the_middle_and_never_made_narrower() -> None:
    assert spread([100.0] * 9, Widened(0.5, 3)) == (50, 100, 300)
    assert spread(NINE, Widened(0.9, 1.1)) == pytest.approx((10, 50, 90))


def test_what_a_play_does_not_come_to_leaves_the_spread_unknown() -> None:
    assert all(map(isnan, spread([*NINE[:-1], inf], AS_PLAYED)))
    assert all(map(isnan, spread([inf] * 9, AS_PLAYED)))


def test_a_position_is_the_middle_one_if_most_plays_have_one() -> None:
    assert position([4, 1, inf, 2, 3]) == 3
    assert position([0, 0, 0]) == 0
    assert isnan(position([1, inf, inf]))
