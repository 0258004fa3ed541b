"""What a process prints: its progress and the end of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farmqueue.agent.output import TAIL_BYTES, Output


def heard(*chunks: bytes) -> tuple[list[float], str]:
    """The progress that was told, and the tail that is left."""
    told: list[float] = []
    output = Output(told.append)
    for chunk in chunks:
        output.feed(chunk)
    return told, output.tail()


@pytest.mark.parametrize(
    ("line", "share"),
    [
        (b"PROGRESS 0.42\n", 0.42),
        (b"PROGRESS 1\n", 1.0),
        (b"PROGRESS .5\n", 0.5),
        (b"PROGRESS   1e-1  \n", 0.1),
        (b"PROGRESS 0.42\r\n", 0.42),
        (b"PROGRESS 0.42\r", 0.42),
        (b"PROGRESS 42\n", 1.0),
        (b"PROGRESS 1e999\n", 1.0),
    ],
)
def test_a_line_of_progress_is_told(line: bytes, share: float) -> None:
    assert heard(line)[0] == [share]


@pytest.mark.parametrize(
    "line",
    [
        b"PROGRESS\n",
        b"PROGRESS nan\n",
        b"PROGRESS -1\n",
        b"PROGRESS 0.4 of it\n",
        b"the PROGRESS 0.4\n",
        b"progress 0.4\n",
        b"PROGRESS 0.4",
        b"x" * 5000 + b"PROGRESS 0.4\n",
    ],
)
def test_other_lines_are_no_progress(line: bytes) -> None:
    assert heard(line)[0] == []


def test_a_line_may_come_in_pieces() -> None:
    assert heard(b"PROG", b"RESS 0.", b"25", b"\n")[0] == [0.25]


def test_the_rest_of_an_endless_line_is_no_progress() -> None:
    assert heard(b"x" * 100, b"x" * 100, b"PROGRESS 0.4\n")[0] == []


def test_of_many_lines_at_once_the_last_counts() -> None:
    assert heard(b"PROGRESS 0.1\nPROGRESS 0.2\nPROGRESS 0.3\nPROGRESS 0.4")[0] == [0.3]


def test_only_the_end_of_the_output_is_kept() -> None:
    _, tail = heard(*(f"line {number}\n".encode() for number in range(10_000)))
    assert tail.endswith("line 9998\nline 9999")
    assert len(tail) <= TAIL_BYTES


def test_a_tail_does_not_begin_inside_a_character() -> None:
    _, tail = heard("ä".encode() * TAIL_BYTES + b"!")
    assert set(tail) == {"ä", "!"}


def test_a_short_output_keeps_its_broken_first_bytes() -> None:
    assert heard(b"\x80 broken")[1] == "\N{REPLACEMENT CHARACTER} broken"


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_whatever_is_printed_a_database_can_take_the_tail(chunks: list[bytes]) -> None:
    tail = heard(*chunks)[1]
    assert "\0" not in tail
    assert tail.encode("utf-8").decode("utf-8") == tail


@given(st.binary(max_size=2000), st.lists(st.integers(0, 2000), max_size=20))
def test_progress_and_tail_do_not_depend_on_how_the_output_is_cut(
    printed: bytes, cuts: list[int]
) -> None:
    edges = sorted({0, len(printed), *(min(cut, len(printed)) for cut in cuts)})
    pieces = [printed[a:b] for a, b in pairwise(edges)]
    assert heard(*pieces)[1] == heard(printed)[1]
    assert heard(*pieces)[0][-1:] == heard(printed)[0][-1:]
