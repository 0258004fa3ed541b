"""What parts of the page say, read without a browser."""

import re

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


async def test_a_day_with_a_change_is_simulated_before_it_is_saved(
    farm: Farm, app: FastAPI
) -> None:
    await farm.queue("/films", maximum_agents=1)
    await farm.queue("/tv")
    await farm.job("film", tasks=12, queue="/films")
    await farm.job("episode", tasks=12, queue="/tv", priority=5)
    for name in ("a0", "a1", "a2"):
        await farm.agent(name)
    guest = await reader(app)
    form = {"maximum_agents": "2", "weight": "90"}
    answer = await guest.post(f"/page/queues/{farm.queues['/films']}/day", form)
    rows = re.findall(r"<td>(.*?)</td><td.*?>(.*?)</td><td.*?>(.*?)</td>", answer.text)
    told = {name: (agents, done) for name, agents, done in rows}
    assert list(told) == ["/films", "/tv"]
    assert all("→" in done for _, done in told.values())
    assert (await farm.get(f"/jobqueues/{farm.queues['/films']}"))["maximum_agents"] == 1


async def test_a_day_with_limits_that_cannot_be_is_refused(farm: Farm, app: FastAPI) -> None:
    await farm.queue("/films", minimum_agents=3)
    guest = await reader(app)
    wrong = await guest.post(f"/page/queues/{farm.queues['/films']}/day", {"maximum_agents": "2"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "minimum_agents")
    assert (await guest.post("/page/queues/99/day", {"weight": "2"})).status_code == 404
