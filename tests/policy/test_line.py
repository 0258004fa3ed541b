"""A line against a sorted list."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.policy import line as module
from app.policy.line import Key, Line
from tests.policy.looks import in_order, union

BITS = 5
Step = tuple[Any, ...]


@dataclass(eq=False)
class Card:
    number: int
    key: Key | None = None
    standing: int = 0


class Pair:
    """A line, and a plain list of cards that is sorted whenever it is looked at."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.line: Line[Card] = Line()
        self.cards = [Card(number) for number in range(30)]
        self.there: set[Card] = set()

    def fill(self, keys: list[int], standing: int) -> None:
        for card in self.there:
            card.key, card.standing = None, 0
        self.there = {self.cards[key % 30] for key in keys}
        for card in self.there:
            card.key, card.standing = (7 * card.number % 10, card.number), standing
        self.line.fill(list(self.there))

    def put(self, number: int, key: int, standing: int) -> None:
        card = self.cards[number]
        self.line.put(card, (key, number), standing)
        self.there.add(card)
        assert (card.key, card.standing) == ((key, number), standing)

    def remove(self, number: int) -> None:
        if self.cards[number] in self.there:
            self.line.remove(self.cards[number])
            self.there.remove(self.cards[number])
            assert (self.cards[number].key, self.cards[number].standing) == (None, 0)

    def check(self) -> None:
        expected = sorted(self.there, key=lambda card: card.key or ())
        assert in_order(self.line, self.longest) == expected
        assert self.line.standing == union(expected)
        for bits in range(1, 1 << BITS):
            able = [card for card in expected if card.standing & bits]
            if able:
                assert self.line.first(bits) is able[0]
            for at, card in enumerate(expected):
                later = [other for other in expected[at + 1 :] if other.standing & bits]
                assert self.line.after(card, bits) is (later[0] if later else None)


a_number = st.integers(0, 29)
some_bits = st.integers(1, (1 << BITS) - 1) | st.sampled_from([1, 2, 4, 8, 16])
puts = st.tuples(st.just("put"), a_number, st.integers(0, 9), some_bits)
removals = st.tuples(st.just("remove"), a_number)
fillings = st.tuples(st.just("fill"), st.lists(a_number, max_size=30), some_bits)
some_steps = st.lists(st.one_of(puts, puts, puts, removals, removals), max_size=60)


@contextmanager
def a_pair(longest: int) -> Iterator[Pair]:
    """With stretches that are as short as that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LONGEST", longest)
        yield Pair(longest)


with_stretches_of_any_length = pytest.mark.parametrize("longest", [2, 3, 4, module.LONGEST])


@with_stretches_of_any_length
@settings(max_examples=80)
@given(begin=fillings, steps=some_steps)
def test_a_line_is_a_sorted_list(longest: int, begin: Step, steps: list[Step]) -> None:
    with a_pair(longest) as both:
        both.check()
        for name, *arguments in [begin, *steps]:
            getattr(both, name)(*arguments)
            both.check()


@with_stretches_of_any_length
@settings(max_examples=60)
@given(one=fillings, steps=some_steps, other=fillings)
def test_a_line_is_filled_anew_whatever_was_in_it(
    longest: int, one: Step, steps: list[Step], other: Step
) -> None:
    with a_pair(longest) as both:
        for name, *arguments in [one, *steps, other]:
            getattr(both, name)(*arguments)
        both.check()


@with_stretches_of_any_length
def test_a_line_grows_and_shrinks_at_both_ends_and_in_the_middle(longest: int) -> None:
    with a_pair(longest) as both:
        for number in [*range(15, 30), *reversed(range(15))]:
            both.put(number, number // 3, 1 << number % BITS)
            both.check()
        for number in [29, 0, 14, 28, 1, 15, *range(2, 14), *reversed(range(16, 28))]:
            both.remove(number)
            both.check()
        assert both.line.standing == 0


@with_stretches_of_any_length
def test_whoever_goes_first_goes_last_and_comes_round(longest: int) -> None:
    with a_pair(longest) as both:
        both.fill(list(range(30)), 1)
        for turn in range(90):
            both.put(both.line.first(1).number, 10 + turn, 1)
            both.check()


@with_stretches_of_any_length
def test_one_that_moves_to_another_stretch_is_not_left_behind(longest: int) -> None:
    with a_pair(longest) as both:
        both.fill(list(range(30)), 0b1)
        both.put(both.line.first(0b1).number, 99, 0b10)
        both.check()
        assert in_order(both.line, longest)[-1].standing == 0b10


def test_one_that_moves_within_its_stretch_takes_its_bits_along() -> None:
    both = Pair(module.LONGEST)
    both.put(1, 1, 0b01)
    both.put(2, 2, 0b01)
    both.put(1, 3, 0b10)
    assert both.line.first(0b10) is both.cards[1]
    assert both.line.first(0b11) is both.cards[2]
    both.put(2, 2, 0b10)
    assert both.line.standing == 0b10, "what no one has any more is gone"


def test_an_empty_line_has_nothing_for_anyone() -> None:
    assert Line[Card]().standing == 0
    assert in_order(Line[Card]()) == []
