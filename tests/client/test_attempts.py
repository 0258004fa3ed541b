"""Tasks that kill their agent, and a supervisor that starts it again at once."""

from pathlib import Path
from typing import Any

import psutil
import pytest

from farmqueue.agent import attempts
from tests.client.farm import Farm, until
from tests.client.test_agent import python, sleeper, working

TOLD = "the agent was killed while it ran this"


def died_with(state_dir: Path, work: dict[str, Any], *places: int) -> None:
    """As an agent leaves it that is killed while it runs these tasks of an assignment."""
    tasks = [work["tasks"][place]["id"] for place in places]
    attempts.begin(state_dir, 0, work["id"], tasks)


async def again(state_dir: Path) -> None:
    """An agent that is started again, finds nothing to do, and begins nothing."""
    async with working(Farm(), state_dir) as [agent]:
        await until(lambda: agent.registered)


async def handed_out(farm: Farm, state_dir: Path, work: dict[str, Any]) -> None:
    """Have the slot of this directory hold the work."""
    async with working(Farm(), state_dir) as [agent]:
        farm.agents[agent.agent_id] = {}
        farm.held[agent.agent_id] = work
        await until(lambda: agent.registered)
    farm.waiting.remove(work)


async def test_what_an_agent_died_with_twice_has_failed_and_the_rest_is_done(
    tmp_path: Path,
) -> None:
    farm = Farm()
    work = farm.give(1, 2, 3, command=python(""))
    await handed_out(farm, tmp_path, work)
    died_with(tmp_path, work, 1)
    await again(tmp_path)
    died_with(tmp_path, work, 1)
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 3)
    first, deadly, last = (farm.results[task["id"]] for task in work["tasks"])
    assert (first["state"], deadly["state"], last["state"]) == ("done", "failed", "done")
    assert deadly["error"].startswith(TOLD)
    assert attempts.noted(tmp_path, 0) is None


async def test_what_an_agent_died_with_once_goes_on(tmp_path: Path) -> None:
    farm = Farm()
    work = farm.give(1, command=python(""))
    await handed_out(farm, tmp_path, work)
    died_with(tmp_path, work, 0)
    async with working(farm, tmp_path):
        await until(lambda: farm.results)
    assert farm.states() == {work["tasks"][0]["id"]: "done"}
    assert attempts.noted(tmp_path, 0) is None


async def test_deaths_with_other_tasks_or_with_none_are_not_added_up(tmp_path: Path) -> None:
    farm = Farm()
    work = farm.give(1, 2, command=python(""))
    await handed_out(farm, tmp_path, work)
    died_with(tmp_path, work, 0)
    await again(tmp_path)
    await again(tmp_path)  # killed before it ran anything
    died_with(tmp_path, work, 1)
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 2)
    assert set(farm.states().values()) == {"done"}


async def test_a_second_death_counts_though_other_tasks_ran_again_before(tmp_path: Path) -> None:
    farm = Farm()
    work = farm.give(1, 2, command=python(""))
    await handed_out(farm, tmp_path, work)
    died_with(tmp_path, work, 1)
    await again(tmp_path)
    died_with(tmp_path, work, 0)  # whose result was lost with the agent
    attempts.end(tmp_path, 0)
    died_with(tmp_path, work, 1)
    async with working(farm, tmp_path):
        await until(lambda: len(farm.results) == 2)
    assert [farm.results[task["id"]]["state"] for task in work["tasks"]] == ["done", "failed"]


def test_notes_of_slots_that_are_no_more_go(tmp_path: Path) -> None:
    for slot in range(3):
        attempts.begin(tmp_path, slot, 1, [slot])
    attempts.end_beyond(tmp_path, 1)
    assert [attempts.noted(tmp_path, slot) is None for slot in range(3)] == [False, True, True]


async def test_what_an_agent_died_with_and_holds_no_more_is_not_asked_about_again(
    tmp_path: Path,
) -> None:
    farm = Farm()
    work = farm.give(1, command=python(""))
    farm.waiting.clear()
    died_with(tmp_path, work, 0)
    await again(tmp_path)
    died_with(tmp_path, work, 0)
    async with working(farm, tmp_path):
        await until(lambda: farm.called("POST /assign"))
    assert len(farm.called(f"POST /assignments/{work['id']}/results")) == 1
    assert farm.results == {}
    assert attempts.noted(tmp_path, 0) is None


async def test_a_machine_that_went_down_is_no_fault_of_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = Farm()
    work = farm.give(1, command=python(""))
    await handed_out(farm, tmp_path, work)
    died_with(tmp_path, work, 0)
    await again(tmp_path)
    died_with(tmp_path, work, 0)
    booted = psutil.boot_time() + 60
    monkeypatch.setattr(psutil, "boot_time", lambda: booted)
    async with working(farm, tmp_path):
        await until(lambda: farm.results)
    assert farm.states() == {work["tasks"][0]["id"]: "done"}


async def test_what_ended_with_its_agent_alive_was_no_death(tmp_path: Path) -> None:
    farm, pid = Farm(), tmp_path / "pid"
    farm.give(1, command=python("import sys; sys.exit(3)"))
    farm.give(2, command=sleeper(pid))
    async with working(farm, tmp_path):
        await until(pid.exists)
        assert attempts.noted(tmp_path, 0) is not None
    assert attempts.noted(tmp_path, 0) is None


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"booted": 1, "assignment": 2', "null"])
def test_a_broken_note_blames_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "slot-0.tasks").write_text(text)
    assert attempts.noted(tmp_path, 0) is None
