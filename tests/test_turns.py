"""Calls of agents take turns, a few each time that the event loop comes round."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from app.turns import CALL_SECONDS, MOST, ROUNDS, TOGETHER, Line, Turns
from tests.farm import Farm


class Clock:
    """Counts how often the event loop comes round, which never rests until this is stopped."""

    def __init__(self) -> None:
        self.rounds = 0
        self._next = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self.rounds += 1
        self._next = asyncio.get_running_loop().call_soon(self._tick)

    def stop(self) -> None:
        self._next.cancel()


@pytest.fixture
async def clock() -> AsyncIterator[Clock]:
    clock = Clock()
    yield clock
    clock.stop()


async def taken(turns: Turns, clock: Clock, line: Line = Line.ASKING) -> int:
    await turns.come(line)
    return clock.rounds


async def test_of_calls_that_come_together_each_round_of_the_loop_serves_a_few_in_their_order(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.turns.CALL_SECONDS", 60)
    turns = Turns()
    rounds = await asyncio.gather(*(taken(turns, clock) for _ in range(2 * TOGETHER + 1)))
    began = rounds[0]
    assert rounds == [began + number // TOGETHER for number in range(len(rounds))]


async def test_a_call_that_went_away_holds_nobody_up(clock: Clock) -> None:
    turns = Turns()
    calls = [asyncio.create_task(taken(turns, clock)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[1].cancel()
    assert await asyncio.wait_for(calls[2], 5) > 0


async def test_who_waits_for_the_line_goes_on_once_nobody_stands_there(clock: Clock) -> None:
    turns = Turns()
    calls = [asyncio.create_task(taken(turns, clock)) for _ in range(TOGETHER + 1)]
    await asyncio.sleep(0)
    await turns.served()
    assert all(call.done() for call in calls[:TOGETHER])
    now = clock.rounds
    await turns.served()
    assert clock.rounds == now
    await asyncio.gather(*calls)


async def test_who_waits_for_a_line_that_is_long_goes_on_after_a_few_rounds(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.turns.CALL_SECONDS", 60)
    turns = Turns()
    calls = [asyncio.create_task(taken(turns, clock)) for _ in range(9 * ROUNDS * TOGETHER)]
    await asyncio.sleep(0)
    now = clock.rounds
    await turns.served()
    assert clock.rounds - now == ROUNDS
    assert not calls[-1].done()
    await asyncio.gather(*calls)


async def test_after_a_lull_the_line_moves_again(clock: Clock) -> None:
    turns = Turns()
    assert await taken(turns, clock) < await taken(turns, clock)


async def test_who_has_its_answer_goes_before_all_that_come(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.turns.CALL_SECONDS", 60)
    turns = Turns()
    coming = [asyncio.create_task(taken(turns, clock)) for _ in range(2 * TOGETHER)]
    await asyncio.sleep(0)
    gone = asyncio.Event()
    turns.leave(gone.set)
    await gone.wait()
    assert not coming[-1].done()
    await asyncio.gather(*coming)


async def test_a_crowd_that_asks_holds_up_nobody_that_works(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.turns.CALL_SECONDS", 60)  # however slow this machine is
    turns = Turns()
    crowd = [asyncio.create_task(taken(turns, clock)) for _ in range(20 * TOGETHER)]
    await asyncio.sleep(0)
    working = [taken(turns, clock, line) for line in (Line.REPORTING, Line.ALIVE)]
    await asyncio.wait_for(asyncio.gather(*working), 5)
    assert sum(call.done() for call in crowd) <= 4 * TOGETHER
    await asyncio.gather(*crowd)


async def test_no_line_stands_still_while_another_is_long(clock: Clock) -> None:
    turns = Turns()
    lines = [line for line in Line for _ in range(4 * TOGETHER)]
    calls = [asyncio.create_task(taken(turns, clock, line)) for line in lines]
    while not any(call.done() for call in calls):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone = {line for line, call in zip(lines, calls, strict=True) if call.done()}
    assert gone == set(Line)
    await asyncio.gather(*calls)


@pytest.mark.parametrize("line", Line)
async def test_whoever_comes_goes_on_after_two_turns_of_each_that_is_there(
    monkeypatch: pytest.MonkeyPatch, line: Line
) -> None:
    """Leaving goes first, and comes from having come: others leave, or come and leave, then wait.

    The crowd asks anew as soon as it has its answer, for ever.
    """
    monkeypatch.setattr("app.turns.CALL_SECONDS", 60)
    turns, crowd = Turns(), 20 * TOGETHER
    taken = 0

    async def hurry() -> None:
        nonlocal taken
        while True:
            await turns.come(Line.REPORTING)
            taken += 1
            gone = asyncio.Event()
            turns.leave(gone.set)
            await gone.wait()
            taken += 1

    async def turns_before() -> int:
        before = taken
        await turns.come(line)
        return taken - before

    calls = [asyncio.create_task(hurry()) for _ in range(crowd)]
    for round_ in range(1, 10):  # with more that leave, or fewer
        while taken < round_ * (crowd + TOGETHER):
            await asyncio.sleep(0)
        assert await asyncio.wait_for(turns_before(), 5) <= 2 * crowd
    for call in calls:
        call.cancel()


async def test_one_that_fails_as_it_leaves_holds_nobody_up() -> None:
    turns, loop = Turns(), asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)

    def fails() -> None:
        raise ValueError

    turns.leave(fails)
    calls = [asyncio.create_task(turns.come(Line.ASKING)) for _ in range(3 * TOGETHER)]
    await asyncio.wait_for(asyncio.gather(*calls), 5)
    await asyncio.wait_for(turns.come(Line.ASKING), 5)


async def test_calls_that_take_long_let_no_more_of_them_on(clock: Clock) -> None:
    turns = Turns()

    async def takes_long() -> int:
        round_ = await taken(turns, clock)
        time.sleep(3 * CALL_SECONDS)  # noqa: ASYNC251  # it computes
        return round_

    rounds = await asyncio.gather(*(takes_long() for _ in range(4 * MOST)))
    assert max(Counter(rounds).values()) <= MOST


async def test_where_all_else_takes_long_more_calls_go_on_at_a_time(clock: Clock) -> None:
    turns = Turns()
    calls = [asyncio.create_task(taken(turns, clock)) for _ in range(MOST)]
    await asyncio.sleep(0)
    time.sleep(20 * TOGETHER * CALL_SECONDS)  # noqa: ASYNC251  # as a long step of the loop does
    rounds = await asyncio.gather(*calls)
    assert rounds[-1] - rounds[0] <= 2


async def test_people_do_not_stand_in_line_with_polls(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.agent("a0")
    turn = asyncio.Event()

    async def wait(_: Turns, __: Line) -> None:
        await turn.wait()

    monkeypatch.setattr(Turns, "come", wait)
    poll = asyncio.create_task(farm.assign("a0"))
    assert (await farm.get("/jobs"))["items"] == []
    assert not poll.done()
    turn.set()
    assert await poll is None
