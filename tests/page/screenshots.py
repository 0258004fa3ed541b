"""`make screenshots`: pictures of the page into docs/images, on a farm that is worth it."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import asyncpg
import httpx
from playwright.async_api import Page, async_playwright

from app.db.embedded import database_url
from app.db.migrations import upgrade_at
from app.settings import Settings
from tests.farm import Farm
from tests.figures.past import remember
from tests.page.conftest import BROWSERS
from tests.page.showcase import furnish
from tests.processes import service
from tests.tokens import ADMIN_TOKEN, AUTH

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SCREEN = {"viewport": {"width": 1360, "height": 720}}
PHONE = {
    "viewport": {"width": 390, "height": 780},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
LATENCY_MS = 700  # of the last thing that moves, a bar that is drawn


async def choose_a_queue(page: Page) -> None:
    await page.locator('#rows tr[data-path="/films/fjord/lighting"] .text').click()
    await page.wait_for_selector("#panel .edit")


async def estimated(page: Page) -> None:
    """They come seconds after the first look."""
    await page.wait_for_selector("td.estimate:has-text('ahead'), td.estimate:has-text('done')")


async def choose_a_task(page: Page) -> None:
    await page.get_by_text("Position", exact=True).wait_for()
    await page.wait_for_selector("#where:not(:empty)")
    await page.locator("#frames").focus()
    for _ in range(FAILED_TASK):
        await page.keyboard.press("ArrowRight")
    await page.wait_for_selector("#task .facts")
    await page.evaluate("document.activeElement.blur()")


async def choose_an_agent(page: Page) -> None:
    await page.locator("#rows tr a").first.click()
    await page.wait_for_selector("#panel .log")


async def plotted(page: Page) -> None:
    await page.wait_for_selector("#plot-agents canvas")


async def nothing(page: Page) -> None:
    await page.wait_for_selector("#live.on")


FAILED_TASK = 3

# Name, where it is, what is done there, and on what.
PICTURES = [
    ("page-queues", "/", choose_a_queue, SCREEN),
    ("page-jobs", "/page/jobs", estimated, SCREEN),
    ("page-job", "/page/jobs/3", choose_a_task, SCREEN),
    ("page-agents", "/page/agents", choose_an_agent, SCREEN),
    ("page-history", "/page/history", plotted, SCREEN),
    ("page-dark", "/page/jobs/3", choose_a_task, SCREEN | {"color_scheme": "dark"}),
    ("page-phone", "/", nothing, PHONE),
]


def main() -> None:
    os.environ["FARMQUEUE_ADMIN_TOKEN"] = ADMIN_TOKEN
    with (
        tempfile.TemporaryDirectory() as home,
        database_url(Settings(data_dir=Path(home) / "data")) as database,
    ):
        asyncio.run(upgrade_at(Settings(), database))
        with service(database, Path(home) / "log", lease_seconds=3_600) as url:
            asyncio.run(_take(url, database))


async def _take(url: str, database: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers=AUTH, timeout=60) as client:
        await furnish(Farm(client), agents=26)
    await remember(database, waves=40)
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute(
        "UPDATE assignments SET started_at = ended_at - interval '10 min'"
        " WHERE ended_at IS NOT NULL"
    )
    await connection.close()
    found = next(filter(None, map(shutil.which, BROWSERS)))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for name, path, act, look in PICTURES:
            context = await browser.new_context(**look)  # type: ignore[arg-type]
            page = await context.new_page()
            await page.goto(url + path)
            await page.get_by_label("Token").fill(ADMIN_TOKEN)
            await page.get_by_role("button", name="Log in").click()
            await act(page)
            await page.wait_for_timeout(LATENCY_MS)
            await page.screenshot(path=IMAGES / f"{name}.png")
            await context.close()
        await browser.close()


if __name__ == "__main__":
    main()
