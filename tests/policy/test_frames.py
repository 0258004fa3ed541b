"""Frame ranges against their naive expansion."""

import json
import tracemalloc
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.policy.frames import (
    MAX_CROSSING,
    MAX_FRAMES,
    MAX_RUNS,
    FramesRefused,
    parse,
    plain_number,
    stepped,
)

Part = tuple[Decimal, Decimal, Decimal]  # start, end, by


def frames(text: str) -> list[Decimal]:
    return list(parse(text))


def numbers(text: str) -> list[Decimal]:
    return [Decimal(word) for word in text.split()]


# --- what is read ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", "7"),
        ("1-5", "1 2 3 4 5"),
        ("1-10x2,20", "1 3 5 7 9 20"),
        ("1-10:3", "1 4 7 10"),
        ("5-5", "5"),
        ("1-4x10", "1"),
        ("-3--1", "-3 -2 -1"),
        ("-1-1", "-1 0 1"),
        ("0-1x0.25", "0 0.25 0.5 0.75 1"),
        ("1.5-4", "1.5 2.5 3.5"),
        ("0.000001-0.000003x0.000001", "0.000001 0.000002 0.000003"),
        ("20,1-3", "1 2 3 20"),
        ("1-5,3-7", "1 2 3 4 5 6 7"),
        ("1-9x4,3", "1 3 5 9"),
        ("4,4,4", "4"),
        (" 1 - 4 x 2 , 9 ", "1 3 9"),
        ("1000000000", "1000000000"),
        ("-1000000000", "-1000000000"),
    ],
)
def test_a_range_is_read(text: str, expected: str) -> None:
    assert frames(text) == numbers(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a frame range: write it like 1-10x2,20"),
        ("1,", "'' is not a frame range"),
        ("1,,2", "'' is not a frame range"),
        ("one", "'one' is not a frame range"),
        ("1-", "'1-' is not a frame range"),
        ("1-2-3", "'1-2-3' is not a frame range"),
        ("5x2", "'5x2' is not a frame range"),
        ("1-5x", "'1-5x' is not a frame range"),
        ("+1", "'\\+1' is not a frame range"),
        ("1e3", "'1e3' is not a frame range"),
        ("NaN", "'NaN' is not a frame range"),
        ("1.", "'1.' is not a frame range"),
        ("0.1234567", "'0.1234567' is not a frame range"),
        ("12345678901", "'12345678901' is not a frame range"),
        ("٣", "'٣' is not a frame range"),  # no digit of ours
        ("5-1", "5-1 runs backwards: write the lower first"),
        ("-1--3.50", "-1--3.5 runs backwards: write the lower first"),
        ("1-5x0", "the step must be above 0"),
        ("1-5x-1", "the step must be above 0"),
        ("1000000001", "frames must lie between -1000000000 and 1000000000"),
        ("-1000000001", "frames must lie between -1000000000 and 1000000000"),
        ("1-2x1000000001", "frames must lie between -1000000000 and 1000000000"),
        ("1-1000001", "1000001 frames: at most 1000000 are allowed"),
        ("0-1x0.000001", "1000001 frames: at most 1000000 are allowed"),
        ("1-600000,700001-1200000", "over 1000000 frames"),
    ],
)
def test_a_range_is_refused_and_says_why(text: str, message: str) -> None:
    with pytest.raises(FramesRefused, match=f"^{message}"):
        parse(text)


@pytest.mark.parametrize(
    ("start", "end", "by", "message"),
    [
        ("2", "1", "1", "2-1 runs backwards: write the lower first"),
        ("1", "2", "0", "the step must be above 0"),
        ("1", "2", "-1", "the step must be above 0"),
        ("0.0000001", "1", "1", "frames have at most 6 digits after the point"),
        ("0", "1.0000001", "1", "frames have at most 6 digits after the point"),
        ("0", "1", "0.0000001", "frames have at most 6 digits after the point"),
        ("1", "1000001", "1", "1000001 frames: at most 1000000 are allowed"),
        ("-2e9", "1", "1", "frames must lie between -1000000000 and 1000000000"),
        ("0", "2e9", "1", "frames must lie between -1000000000 and 1000000000"),
        ("0", "Infinity", "1", "frames must lie between -1000000000 and 1000000000"),
    ],
)
def test_start_end_and_by_are_refused_and_say_why(
    start: str, end: str, by: str, message: str
) -> None:
    with pytest.raises(FramesRefused, match=f"^{message}$"):
        stepped(Decimal(start), Decimal(end), Decimal(by))


def test_as_many_frames_as_allowed_are_read() -> None:
    assert len(parse("1-1000000")) == MAX_FRAMES
    assert len(parse("1-500000,500001-1000000")) == MAX_FRAMES


def in_no_order(count: int) -> str:
    """As many frames with ever wider gaps: no three of them make one run."""
    return ",".join(map(str, accumulate(range(count))))


def test_lists_in_no_order_may_be_long_but_not_without_end() -> None:
    assert len(parse(in_no_order(2 * MAX_RUNS))) == 2 * MAX_RUNS
    with pytest.raises(FramesRefused, match=f"these have {MAX_CROSSING + 2}: write them apart"):
        parse(in_no_order(MAX_CROSSING + 2))


def test_ranges_that_lie_in_another_cost_nothing() -> None:
    frames = parse("1-1000000,5,7-21x7,1-9x2,999999-1000000")
    assert str(frames) == "1-1000000"
    assert len(frames) == MAX_FRAMES


def test_ranges_that_go_on_with_another_are_one() -> None:
    assert str(parse("6-10,1-5,11-20x3,23")) == "1-10,11-23x3"
    assert str(parse("1-9x2,11,13-21x2")) == "1-21x2"


def test_ranges_that_cross_each_other_a_lot_are_refused_before_they_are_sorted_out() -> None:
    with pytest.raises(FramesRefused, match="may have 20000 frames in all"):
        parse("1-1000000x2,2-1000000x3")


def test_what_is_not_understood_is_shown_cut_short() -> None:
    with pytest.raises(FramesRefused) as refused:
        parse("x" * 100_000)
    assert len(str(refused.value)) < 120


def test_a_long_list_of_neighbours_is_one_range() -> None:
    listed = parse(",".join(map(str, range(1, MAX_RUNS + 2))))
    assert str(listed) == "1-10001"


# --- properties ---


def plain_set(start: Decimal, end: Decimal, by: Decimal) -> set[Decimal]:
    found = set()
    while start <= end:
        found.add(start)
        start += by
    return found


@st.composite
def parts(draw: st.DrawFn) -> Part:
    """Up to 20 frames from a narrow place, that ranges overlap."""
    unit = draw(st.sampled_from([Decimal(1), Decimal("0.5"), Decimal("0.1"), Decimal("0.000001")]))
    start = draw(st.integers(-15, 15)) * unit
    by = draw(st.integers(1, 4)) * unit
    return start, start + draw(st.integers(0, 60)) * unit / 3 // unit * unit, by


def written(part: Part) -> str:
    start, end, by = part
    return f"{start:f}" if start == end else f"{start:f}-{end:f}x{by:f}"


@settings(max_examples=75)
@given(st.lists(parts(), min_size=1, max_size=5))
def test_a_range_is_the_ascending_set_of_its_parts(given_parts: list[Part]) -> None:
    found = parse(",".join(map(written, given_parts)))
    expected = sorted(set[Decimal]().union(*[plain_set(*part) for part in given_parts]))
    assert list(found) == expected
    assert len(found) == len(expected)
    assert [found[index] for index in range(len(found))] == expected


@settings(max_examples=75)
@given(st.lists(parts(), min_size=1, max_size=5))
@example([(Decimal("1.50"), Decimal("2.50"), Decimal("0.50"))])
def test_the_text_of_a_range_reads_as_the_same_range(given_parts: list[Part]) -> None:
    found = parse(",".join(map(written, given_parts)))
    again = parse(str(found))
    assert list(again) == list(found)
    assert str(again) == str(found)


@given(parts())
def test_start_end_and_by_are_the_same_as_the_text(part: Part) -> None:
    assert list(stepped(*part)) == frames(written(part))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1-10", "1-10"), ("1-10x2", "1-9x2"), ("1.50", "1.5"), ("10-100x10", "10-100x10")],
)
def test_the_text_is_short(text: str, expected: str) -> None:
    assert str(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("7", "1"),
        ("1-10", "1"),
        ("1-10x2", "2"),
        ("1-10x2,20", "2"),
        ("1-9x2,20-26x2", "2"),
        ("1-3,10-20x5", "1"),
        ("0-1x0.25", "0.25"),
        ("5-5x3", "1"),
    ],
)
def test_by_is_the_step_that_all_its_runs_share_else_one(text: str, by: str) -> None:
    assert parse(text).by == Decimal(by)


def test_the_order_in_which_parts_are_written_does_not_matter() -> None:
    assert str(parse("20,1-3,10")) == str(parse("1-3,10,20")) == "1-3,10,20"


# --- cost ---


def test_a_million_frames_cost_one_run() -> None:
    tracemalloc.start()
    try:
        made = stepped(Decimal(1), Decimal(MAX_FRAMES), Decimal(1))
        assert len(made) == made[999_999] == MAX_FRAMES
        assert len(made.runs) == 1
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_beyond_the_last_frame_there_is_none() -> None:
    with pytest.raises(IndexError):
        stepped(Decimal(1), Decimal(3), Decimal(1))[3]


def test_frames_of_runs_are_counted_through() -> None:
    found = parse("1-3,10,20-24x2")
    assert [found[index] for index in (0, 2, 3, 4, 6)] == numbers("1 3 10 20 24")


# --- as JSON ---

millionths = st.integers(-(10**15), 10**15).map(lambda n: Decimal(n) / 10**6)


@given(millionths)
def test_a_frame_as_json_is_the_very_number(frame: Decimal) -> None:
    assert Decimal(json.dumps(plain_number(frame))) == frame


def test_a_whole_frame_as_json_has_no_point() -> None:
    assert json.dumps([plain_number(frame) for frame in parse("1.0,2.5,30")]) == "[1, 2.5, 30]"
