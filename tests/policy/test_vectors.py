from typing import Any

import pytest

from tests.policy.brute_force import BruteForce, Pick
from tests.policy.farm_sim import FarmSim
from tests.vectors import Changes, Scenario, play, scenarios

BY_NAME = [pytest.param(scenario, id=scenario.name) for scenario in scenarios()]


class AskedAgain(BruteForce):
    """The judge, with the memory of what each agent holds that a farm has."""

    def poll(self, hostname: str) -> list[Pick]:
        agent = self.agents[hostname]
        if agent["job"] is not None:
            return [(agent["job"], [task["ordinal"] for task in agent["tasks"]])]
        pick = self.pick(hostname)
        self.take(hostname, pick)
        return [pick]


class InMemory:
    """A farm in this process behind the names that a scenario uses."""

    def __init__(self, kind: type[FarmSim | AskedAgain]) -> None:
        self.kind = kind

    async def build(self, scenario: Scenario) -> None:
        lists: list[Any] = [scenario.queues, scenario.jobs, scenario.agents]
        self.farm = self.kind(*lists)
        self.titles = [job["title"] for job in scenario.jobs]
        self.fullpaths = [(q.get("parent") or "") + "/" + q["name"] for q in scenario.queues]

    async def assign(self, hostname: str) -> str | None:
        [pick] = self.farm.poll(hostname)
        return None if pick is None else self.titles[pick[0] - 1]

    async def finish(self, hostname: str) -> None:
        self.farm.finish(hostname)

    async def set_queue(self, fullpath: str, changes: Changes) -> None:
        self.farm.change_queue(self.fullpaths.index(fullpath) + 1, changes)

    async def set_job(self, title: str, changes: Changes) -> None:
        self.farm.change_job(self.titles.index(title) + 1, changes)


@pytest.mark.parametrize("scenario", BY_NAME)
async def test_the_policy_makes_the_expected_picks(scenario: Scenario) -> None:
    await play(scenario, InMemory(FarmSim))


@pytest.mark.parametrize("scenario", BY_NAME)
async def test_the_independent_judge_makes_the_expected_picks(scenario: Scenario) -> None:
    await play(scenario, InMemory(AskedAgain))


async def test_a_wrong_pick_fails_the_play_and_says_where() -> None:
    scenario = next(s for s in scenarios() if s.name == "strict-priority")
    scenario.steps[3]["expect"] = "hi"
    with pytest.raises(AssertionError, match="strict-priority, step 3: a3 got lo, not hi"):
        await play(scenario, InMemory(FarmSim))


async def test_a_step_that_no_player_knows_is_not_skipped() -> None:
    scenario = Scenario("new", [], [], [], [{"rename_queue": "/a"}])
    with pytest.raises(ValueError, match="new, step 0: no player knows"):
        await play(scenario, InMemory(FarmSim))
