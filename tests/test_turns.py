"""Polls take turns, a few each time that the event loop comes round."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.turns import TOGETHER, Turns
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


async def taken(turns: Turns, clock: Clock) -> int:
    await turns.come()
    return clock.rounds


async def test_of_calls_that_come_together_each_round_of_the_loop_serves_a_few_in_their_order(
    clock: Clock,
) -> None:
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


async def test_after_a_lull_the_line_moves_again(clock: Clock) -> None:
    turns = Turns()
    assert await taken(turns, clock) < await taken(turns, clock)


async def test_who_has_its_answer_goes_before_all_that_come(clock: Clock) -> None:
    turns = Turns()
    coming = [asyncio.create_task(taken(turns, clock)) for _ in range(2 * TOGETHER)]
    await asyncio.sleep(0)
    leaving = asyncio.create_task(turns.leave())
    await leaving
    assert not coming[-1].done()
    await asyncio.gather(*coming)


async def test_people_do_not_stand_in_line_with_polls(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.agent("a0")
    turn = asyncio.Event()

    async def wait(_: Turns) -> None:
        await turn.wait()

    monkeypatch.setattr(Turns, "come", wait)
    poll = asyncio.create_task(farm.assign("a0"))
    assert (await farm.get("/jobs"))["items"] == []
    await farm.heartbeat("a0")
    assert not poll.done()
    turn.set()
    assert await poll is None
