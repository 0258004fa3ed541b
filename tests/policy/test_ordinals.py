"""Sets of ordinals against plain sets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.policy.ordinals import Ordinals, runs

ordinals = st.sets(st.integers(0, 40))


@given(ordinals)
def test_runs_are_the_fewest_ranges_that_hold_the_ordinals(chosen: set[int]) -> None:
    found = runs(sorted(chosen))
    assert [n for first, end in found for n in range(first, end)] == sorted(chosen)
    assert all(left[1] < right[0] for left, right in pairwise(found))


@given(ordinals, st.lists(ordinals, max_size=5))
def test_taking_ordinals_out_is_as_from_a_plain_set(start: set[int], takes: list[set[int]]) -> None:
    kept, plain = Ordinals(runs(sorted(start))), set(start)
    for take in takes:
        kept.remove(sorted(take & plain))
        plain -= take
        assert list(kept) == sorted(plain)
        assert len(kept) == len(plain)
        assert bool(kept) == bool(plain)
        assert [n for n in range(-1, 42) if n in kept] == sorted(plain)
        assert list(kept.ranges) == runs(sorted(plain))


@given(ordinals, st.sets(st.integers(-1, 41), min_size=1))
def test_what_is_not_in_the_set_cannot_be_taken_out(start: set[int], take: set[int]) -> None:
    kept = Ordinals(runs(sorted(start)))
    if take <= start:
        kept.remove(sorted(take))
    else:
        with pytest.raises(KeyError):
            kept.remove(sorted(take))


@given(ordinals, st.lists(ordinals, max_size=8))
def test_putting_ordinals_in_is_as_into_a_plain_set(start: set[int], gives: list[set[int]]) -> None:
    kept, plain = Ordinals(runs(sorted(start))), set(start)
    for give in gives:
        kept.add(sorted(give - plain))
        plain |= give
        assert list(kept.ranges) == runs(sorted(plain))
        assert len(kept) == len(plain)


@given(ordinals, st.lists(st.tuples(st.booleans(), ordinals), max_size=12))
def test_what_is_taken_out_and_put_in_by_turns_is_as_in_a_plain_set(
    start: set[int], steps: list[tuple[bool, set[int]]]
) -> None:
    kept, plain = Ordinals(runs(sorted(start))), set(start)
    for comes, some in steps:
        if comes:
            kept.add(sorted(some - plain))
            plain |= some
        else:
            kept.remove(sorted(some & plain))
            plain -= some
        assert list(kept.ranges) == runs(sorted(plain))


def test_what_fills_a_hole_makes_one_pair_of_two() -> None:
    kept = Ordinals([(0, 3), (5, 9)])
    kept.add([4])
    assert list(kept.ranges) == [(0, 3), (4, 9)]
    kept.add([3])
    assert list(kept.ranges) == [(0, 9)]
    kept.add([9, 10, 20])
    assert list(kept.ranges) == [(0, 11), (20, 21)]


def test_the_same_ordinal_cannot_be_taken_out_twice() -> None:
    kept = Ordinals([(0, 10)])
    kept.remove([3])
    with pytest.raises(KeyError, match="3"):
        kept.remove([3])


def test_a_million_in_a_row_are_one_pair_and_a_hole_makes_two() -> None:
    kept = Ordinals([(0, 1_000_000)])
    assert len(kept) == 1_000_000
    kept.remove([500_000, 500_001])
    assert kept.ranges == ((0, 500_000), (500_002, 1_000_000))
    assert next(iter(kept)) == 0


def test_an_empty_set_holds_nothing() -> None:
    kept = Ordinals()
    assert not kept
    assert list(kept) == []
    assert 0 not in kept
