"""What parts of the page say, read without a browser."""

from fastapi import FastAPI

from tests.farm import Farm
from tests.page.visitor import Visitor, visitor
from tests.tokens import ADMIN_TOKEN


async def reader(app: FastAPI) -> Visitor:
    somebody = visitor(app)
    await somebody.log_in(ADMIN_TOKEN)
    return somebody


async def test_the_history_tells_a_switch_in_words(farm: Farm, app: FastAPI) -> None:
    await farm.queue("/films", maximum_agents=5)
    change = {"paused": True, "maximum_agents": None}
    await farm.client.patch(f"/jobqueues/{farm.queues['/films']}", json=change)
    shown = await (await reader(app)).read("/page/history")
    assert "paused no → yes" in shown
    assert "maximum agents 5 → none" in shown


async def test_the_walk_names_who_is_open_with_the_numbers_of_the_shares(
    farm: Farm, app: FastAPI
) -> None:
    await farm.queue("/films", minimum_agents=1)
    await farm.queue("/tv", weight=30)
    await farm.job("film", queue="/films")
    await farm.job("episode", queue="/tv")
    await farm.agent("a0")
    shown = await (await reader(app)).read(f"/page/jobs/{farm.jobs['episode']}/why")
    assert "(of 2 open, 1 owed: /films 0/10, /tv 0/30)" in shown


async def test_one_agent_has_one_task(farm: Farm, app: FastAPI) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    await farm.assign("a0")
    shown = await (await reader(app)).read(f"/page/agents/{farm.agents['a0']}")
    assert ", 1 task for " in shown
