"""What is plotted of the history, as it is told to who cannot see it."""

import re

import asyncpg
from playwright.async_api import expect

from tests.figures.past import remember
from tests.page.conftest import Stage

_HOURS = """
INSERT INTO farm_figures (seconds, at, agents, queues, tasks_done, tasks_failed, jobs_started,
    wait_seconds, longest_wait, history_id)
SELECT 3600, date_trunc('hour', clock_timestamp()) - make_interval(hours => n), '{}', $1::jsonb,
    0, 0, 0, 0, 0, 0
FROM generate_series(1, 3) n
ON CONFLICT (seconds, at) DO UPDATE SET queues = EXCLUDED.queues
"""


async def test_the_history_is_plotted_with_who_changed_what_meanwhile(stage: Stage) -> None:
    await remember(stage.database)
    await stage.farm.queue("/history", weight=3)
    await stage.farm.set_queue("/history", weight=4)
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/history")
        await expect(page.locator(".plot canvas")).to_have_count(4)
        await expect(page.locator("#plot-tasks")).to_have_attribute(
            "aria-label", re.compile(r"Tasks a minute\. Last: done [1-9]")
        )
        change = page.locator(".changes tr", has_text="/history").first
        await expect(change).to_contain_text("weight 3 → 4")
        await page.get_by_role("textbox", name="Queue").fill("/films")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("#plot-queues")).to_have_attribute(
            "aria-label", re.compile("/films/fjord")
        )


async def test_agents_of_a_queue_that_no_child_shown_has_are_a_layer_of_their_own(
    stage: Stage,
) -> None:
    farm = stage.farm
    top, child = [(await farm.queue(path))["id"] for path in ("/layers", "/layers/child")]
    connection = await asyncpg.connect(stage.database.replace("+asyncpg", ""))
    await connection.execute(_HOURS, f'{{"{top}": [10, null, 3], "{child}": [4, 6, 3]}}')
    await connection.close()
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/history?span=month&queue=/layers")
        await expect(page.locator("#plot-queues")).to_have_attribute(
            "aria-label", re.compile(r"Last: others 6, /layers/child 4, entitled not known\.$")
        )
