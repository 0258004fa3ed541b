"""What an agent counts on while answers are late."""

import asyncio
from pathlib import Path

from tests.client.farm import Farm, until
from tests.client.test_agent import is_written, python, sleeper, working

LATE = 0.4  # seconds


async def test_a_lease_is_counted_from_when_it_was_asked_for(tmp_path: Path) -> None:
    farm, pid = Farm(slow={"POST /assign": LATE}), tmp_path / "pid"
    farm.give(1, command=sleeper(pid))
    async with working(farm, tmp_path, grace=5) as [agent]:
        await until(lambda: farm.called("POST /assign"))
        asked = asyncio.get_running_loop().time()
        await until(lambda: agent.held)
        assert agent.held is not None
        assert agent.held.lease.deadline <= asked + farm.lease_seconds - 5


async def test_an_answer_that_was_long_on_its_way_begins_nothing_that_was_taken_back(
    tmp_path: Path,
) -> None:
    farm, begun = Farm(heartbeat_seconds=2, slow={"POST /assign": LATE}), tmp_path / "begun"
    lost = farm.give(1, command=sleeper(begun))
    farm.stop = [lost["id"]]
    async with working(farm, tmp_path):
        await until(lambda: farm.held)
        farm.held.clear()
        after = farm.give(2, command=python(""))
        await until(lambda: farm.results)
    assert not begun.exists()
    assert farm.states() == {after["tasks"][0]["id"]: "done"}


async def test_an_agent_whose_poll_waited_for_longer_than_a_lease_works_on_a_new_one(
    tmp_path: Path,
) -> None:
    farm = Farm(heartbeat_seconds=0.1, lease_seconds=LATE, slow={"POST /assign": LATE})
    work = farm.give(1, command=python(""))
    async with working(farm, tmp_path) as [agent]:
        await until(lambda: farm.results)
        calls = [call.path for call in farm.calls[1:3]]
        assert calls == ["/assign", f"/agents/{agent.agent_id}/heartbeat"]
    assert farm.states() == {work["tasks"][0]["id"]: "done"}


async def test_nothing_is_begun_on_a_lease_that_ran_out_on_its_way(tmp_path: Path) -> None:
    farm, begun = Farm(heartbeat_seconds=0.1, lease_seconds=LATE), tmp_path / "begun"
    farm.give(1, command=sleeper(begun))
    async with working(farm, tmp_path, pause=600) as [agent]:
        beat = f"POST /agents/{agent.agent_id}/heartbeat"
        farm.slow = {"POST /assign": LATE, beat: LATE}
        await until(lambda: farm.called(beat))
        await until(lambda: agent.held is None)
    assert not is_written(begun)
