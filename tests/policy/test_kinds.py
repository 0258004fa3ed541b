"""Requirements as bits."""

from collections import Counter, deque
from itertools import combinations, count

from hypothesis import given
from hypothesis import strategies as st

from app.policy.fit import Agent, Requirements, meets
from app.policy.kinds import SPARE, Kinds, owed
from tests.policy.build import agent

WORDS = ["gpu", "laptop", "night"]
words = st.sets(st.sampled_from(WORDS)).map(frozenset)
amounts = st.integers(1, 4)
needs = st.builds(Requirements, amounts, amounts, words, words)
agents = st.builds(agent, cpus=amounts, free_ram=st.integers(0, 5), tags=words.map(" ".join))


def met(kinds: Kinds, joined: list[Requirements], taker: Agent) -> set[Requirements]:
    """As the kinds tell it, where all those have joined."""
    bits = {required: kinds.join(required) for required in joined}
    for required in joined:
        kinds.leave(required)
    return {required for required, bit in bits.items() if kinds.met_by(taker) & bit}


def test_each_kind_has_a_pair_of_bits_of_its_own() -> None:
    kinds = Kinds()
    pairs = [(bit, owed(bit)) for bit in (kinds.join(Requirements(ram=n)) for n in range(100))]
    bits = [bit for pair in pairs for bit in pair]
    assert all(bit.bit_count() == 1 for bit in bits)
    assert len(set(bits)) == 200
    assert all(upper == 2 * lower for lower, upper in pairs)
    assert kinds.open_bits == sum(bit for bit, _ in pairs)
    assert max(bits).bit_length() == 200, "and no bit lies idle between them"


def test_jobs_that_ask_for_the_same_are_of_one_kind() -> None:
    kinds = Kinds()
    assert kinds.join(Requirements(cpus=2)) == kinds.join(Requirements(cpus=2))
    assert kinds.join(Requirements(cpus=3)) != kinds.join(Requirements(cpus=2))
    assert len(kinds) == 2


@given(st.lists(needs, max_size=12), st.lists(agents, min_size=1, max_size=4))
def test_an_agent_meets_what_its_bits_say(asked: list[Requirements], takers: list[Agent]) -> None:
    kinds = Kinds()
    for taker in takers:
        assert met(kinds, asked, taker) == {need for need in asked if meets(taker, need)}


@given(needs, agents)
def test_owed_bits_are_no_open_bits(need: Requirements, taker: Agent) -> None:
    kinds = Kinds()
    bit = kinds.join(need)
    other = kinds.join(Requirements(cpus=99))
    assert not (kinds.met_by(taker) & owed(kinds.open_bits))
    assert len({bit, owed(bit), other, owed(other)}) == 4


def test_memory_counts_to_the_last_megabyte() -> None:
    kinds = Kinds()
    small, large = kinds.join(Requirements(ram=64)), kinds.join(Requirements(ram=128))
    known = [kinds.met_by(agent(free_ram=free)) for free in (63, 64, 127, 128, 10**6)]
    assert known == [0, small, small, small | large, small | large]


# --- kinds come and go ---


def test_what_an_agent_meets_is_looked_at_anew_when_a_kind_comes() -> None:
    kinds = Kinds()
    assert kinds.met_by(agent()) == 0
    first = kinds.join(Requirements(cpus=2))
    assert kinds.met_by(agent()) == first
    second = kinds.join(Requirements(cpus=3))
    assert kinds.met_by(agent()) == first | second


def test_what_an_agent_meets_is_looked_at_anew_when_kinds_go() -> None:
    kinds = Kinds()
    stays = kinds.join(Requirements())
    went = [Requirements(cpus=2, ram=n) for n in range(SPARE + 1)]
    for required in went:
        kinds.join(required)
    assert kinds.met_by(agent()) == kinds.open_bits
    for required in went:
        kinds.leave(required)
    assert kinds.met_by(agent()) == kinds.open_bits == stays


def test_a_kind_stays_while_one_job_has_it() -> None:
    kinds = Kinds()
    needed = Requirements(cpus=2)
    bit = kinds.join(needed)
    assert kinds.join(needed) == bit
    kinds.leave(needed)
    come_and_go(kinds, SPARE * 3)
    assert kinds.met_by(agent()) & bit
    assert kinds.join(needed) == bit


def test_a_kind_that_nobody_has_is_kept_for_a_while_and_has_its_bits_again() -> None:
    kinds = Kinds()
    bit = kinds.join(Requirements(cpus=2))
    kinds.leave(Requirements(cpus=2))
    come_and_go(kinds, SPARE - 1)
    assert kinds.join(Requirements(cpus=2)) == bit
    come_and_go(kinds, SPARE * 3)
    assert kinds.join(Requirements(cpus=2)) == bit, "it is no spare one any more"


def test_bits_are_given_anew_so_that_they_stay_few() -> None:
    kinds = Kinds()
    held = [Requirements(cpus=n) for n in range(2, 12)]
    for required in held:
        kinds.join(required)
    for _ in range(20):
        come_and_go(kinds, SPARE * 2)
        assert len(kinds) <= len(held) + SPARE
        assert kinds.open_bits.bit_length() <= 2 * (len(held) + SPARE + 1)
        bits = [kinds.join(required) for required in held]
        for required in held:
            kinds.leave(required)
        assert all(not one & other for one, other in combinations(bits, 2))


def test_bits_below_one_that_stays_are_given_anew_too() -> None:
    kinds = Kinds()
    newest = deque[Requirements](maxlen=5)
    for cpus in range(SPARE * 10):
        if len(newest) == newest.maxlen:
            kinds.leave(newest[0])
        newest.append(Requirements(cpus=cpus))
        kinds.join(newest[-1])
        assert kinds.open_bits.bit_length() <= 2 * (len(newest) + SPARE + 1)


numbers = count(1)


def come_and_go(kinds: Kinds, times: int) -> None:
    """So many kinds that were never there before, one after the other."""
    for _ in range(times):
        required = Requirements(ram=1_000_000 + next(numbers))
        kinds.join(required)
        kinds.leave(required)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2 * SPARE)), max_size=300),
    st.integers(0, 2 * SPARE),
)
def test_kinds_that_come_and_go_in_any_order_never_share_a_bit(
    steps: list[tuple[bool, int]], free_ram: int
) -> None:
    kinds, jobs, bits = Kinds(), Counter[int](), dict[int, int]()
    for comes, ram in steps:
        if comes:
            bit = kinds.join(Requirements(ram=ram))
            assert not jobs[ram] or bit == bits[ram], "it has its bit as long as a job has it"
            jobs[ram], bits[ram] = jobs[ram] + 1, bit
        elif jobs[ram]:
            kinds.leave(Requirements(ram=ram))
            jobs[ram] -= 1
        there = {ram: bits[ram] for ram in jobs if jobs[ram]}
        assert sum(there.values()).bit_count() == len(there)
        able = sum(bit for ram, bit in there.items() if ram <= free_ram)
        assert kinds.met_by(agent(free_ram=free_ram)) & sum(there.values()) == able
