"""Polls take turns, one each time that the event loop comes round."""

import asyncio
from itertools import pairwise

import pytest

from app.turns import Turns
from tests.farm import Farm


class Clock:
    """Counts how often the event loop came round."""

    def __init__(self) -> None:
        self.rounds = 0
        asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self.rounds += 1
        asyncio.get_running_loop().call_soon(self._tick)


async def taken(turns: Turns, clock: Clock) -> int:
    await turns.come()
    return clock.rounds


async def test_of_calls_that_come_together_each_round_of_the_loop_serves_one_in_their_order() -> (
    None
):
    turns, clock = Turns(), Clock()
    rounds = await asyncio.gather(*(taken(turns, clock) for _ in range(5)))
    assert [later - earlier for earlier, later in pairwise(rounds)] == [1] * 4


async def test_a_call_that_went_away_holds_nobody_up() -> None:
    turns, clock = Turns(), Clock()
    calls = [asyncio.create_task(taken(turns, clock)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[1].cancel()
    assert await asyncio.wait_for(calls[2], 5) > 0


async def test_after_a_lull_the_line_moves_again() -> None:
    turns, clock = Turns(), Clock()
    assert await taken(turns, clock) < await taken(turns, clock)


async def test_who_has_its_answer_goes_before_all_that_come() -> None:
    turns, clock = Turns(), Clock()
    coming = [asyncio.create_task(taken(turns, clock)) for _ in range(3)]
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
