"""The agenda gives back what was added in the order of its moments."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from app.policy.agenda import PARTS, Agenda

HORIZON = 4.0 * PARTS  # so a part has four seconds
# Within one part, in several, at the horizon and beyond it.
MOMENTS = st.one_of(st.floats(0, 20), st.floats(0, 2 * HORIZON), st.just(HORIZON))


@given(
    begin=st.lists(MOMENTS, max_size=30), turns=st.lists(st.none() | st.floats(0, 50), max_size=60)
)
def test_what_was_added_comes_out_in_order_whatever_was_taken_out_before(
    begin: list[float], turns: list[float | None]
) -> None:
    agenda: Agenda[tuple[float, int, None, None]] = Agenda(HORIZON)
    here = [(at, number, None, None) for number, at in enumerate(begin)]
    for entry in here:
        agenda.add(entry)
    now = 0.0
    for number, after in enumerate([*turns, *[None] * len(begin)], len(begin)):
        assert agenda.next_at() == min((entry[0] for entry in here), default=inf)
        if after is not None:
            here.append((now + after, number, None, None))
            agenda.add(here[-1])
        elif here:
            first = min(here, key=lambda entry: entry[:2])
            assert agenda.pop() == first
            here.remove(first)
            now = first[0]
