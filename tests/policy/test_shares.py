"""How close the shares come to the weights.

Serving the lowest share first (Adams's way to apportion) gives no one ahead of its share more than
one agent. A heavy node may lag by more than one while many light siblings get their first.
"""

from fractions import Fraction
from math import gcd

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.policy.farm import turn
from app.policy.pick import assign
from tests.policy.build import agent, farm, job, queue

weights = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def served(weights: list[int], agents: int) -> list[list[int]]:
    """Agents in each of as many siblings, after each agent that asked."""
    siblings = [queue(n, job(n), weight=weight) for n, weight in enumerate(weights, 1)]
    saturated = farm(*siblings)
    counts = []
    for _ in range(agents):
        assert assign(saturated, agent())
        counts.append([sibling.assigned for sibling in siblings])
    return counts


def test_the_worked_example_is_never_more_than_one_agent_from_its_shares() -> None:
    weights = [60, 30, 10]
    counts = served(weights, 100)
    for agents, shared in enumerate(counts, 1):
        exact = [Fraction(agents * weight, 100) for weight in weights]
        assert all(abs(has - due) <= 1 for has, due in zip(shared, exact, strict=True))
    assert counts[-1] == [60, 30, 10]


@given(first=st.integers(1, 1_000_000), second=st.integers(1, 1_000_000))
@settings(max_examples=30)
def test_two_siblings_are_always_within_one_agent_of_their_shares(first: int, second: int) -> None:
    for agents, (has, _) in enumerate(served([first, second], 40), 1):
        assert abs(has - Fraction(agents * first, first + second)) < 1


@given(weights)
@settings(max_examples=40)
def test_no_sibling_gets_more_than_one_agent_above_its_share(weights: list[int]) -> None:
    for agents, shared in enumerate(served(weights, 60), 1):
        for has, weight in zip(shared, weights, strict=True):
            assert has - Fraction(agents * weight, sum(weights)) < 1


@given(weights)
@settings(max_examples=40)
def test_a_sibling_lags_by_at_most_its_share_of_one_agent_for_each_other(
    weights: list[int],
) -> None:
    for agents, shared in enumerate(served(weights, 60), 1):
        for has, weight in zip(shared, weights, strict=True):
            lag = Fraction(agents * weight, sum(weights)) - has
            assert lag <= Fraction((len(weights) - 1) * weight, sum(weights))


@given(weights, st.integers(1, 3))
@settings(max_examples=40)
def test_shares_are_exact_whenever_they_are_whole(weights: list[int], rounds: int) -> None:
    smallest = [weight // gcd(*weights) for weight in weights]
    assume(sum(smallest) * rounds <= 200)
    counts = served(weights, sum(smallest) * rounds)
    assert counts[-1] == [weight * rounds for weight in smallest]


def test_light_siblings_get_their_first_agent_before_the_heavy_one_its_second() -> None:
    assert served([60, *[1] * 4], 6)[-2:] == [[1, 1, 1, 1, 1], [2, 1, 1, 1, 1]]


@given(weights, st.integers(1, 60), st.integers(1, 30))
@settings(max_examples=30)
def test_the_share_that_a_sibling_cannot_use_flows_to_the_others(
    weights: list[int], idle: int, agents: int
) -> None:
    full = queue(99, job(99), weight=idle, maximum=2)
    others = [queue(n, job(n), weight=weight) for n, weight in enumerate(weights, 1)]
    shared = farm(full, *others)
    for _ in range(agents):
        assert assign(shared, agent())
    taken = [sibling.assigned for sibling in others]
    assert full.assigned <= 2
    assert taken == ([[0] * len(weights), *served(weights, agents)])[agents - full.assigned]


# --- exact comparison ---

shares = st.tuples(st.integers(0, 10**6), st.integers(1, 10**6))


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two shares that no others of such weights could lie between: a/w and b/v, |av - bw| = 1."""
    heavy = st.integers(10**6 - 50, 10**6) | st.integers(2, 10**6)
    first, second = draw(heavy), draw(heavy)
    assume(gcd(first, second) == 1 and first > 1)
    assigned = pow(second, -1, first)
    other = (assigned * second - 1) // first
    return (assigned, first), (other, second)


@given(neighbours() | st.tuples(shares, shares))
@example(((1, 3), (333_333, 999_999)))
@settings(max_examples=300)
def test_turns_compare_shares_as_exact_fractions(
    pair: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    (a, w), (b, v) = pair
    root = queue(0, one := job(1, assigned=a, weight=w), other := job(2, assigned=b, weight=v))
    exact = (Fraction(a, w), -w, 1) < (Fraction(b, v), -v, 2)
    assert (turn(one, root) < turn(other, root)) == exact
