"""A browser, and a service with a farm that is worth looking at; both for all tests here."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)

from tests.conftest import fresh_database
from tests.farm import Farm
from tests.page.showcase import furnish
from tests.processes import service
from tests.tokens import ADMIN_TOKEN, AUTH

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 60_000  # of all that waits for the page to change: a machine may be busy

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.fail(f"no {BROWSERS[0]} on PATH: `make browser` installs it", pytrace=False)
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        await started.close()


@dataclass
class Stage:
    """A service, the farm behind it, and browsers before it."""

    url: str
    farm: Farm
    browser: Browser
    database: str

    @asynccontextmanager
    async def window(self, token: str = ADMIN_TOKEN, **options: object) -> AsyncIterator[Page]:
        """A browser window of somebody who logged in; no script may fail in it."""
        context: BrowserContext = await self.browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        wrong: list[str] = []

        def hear(message: ConsoleMessage) -> None:
            refused = "status of 4" in message.text or "Status Error Code 4" in message.text
            if message.type == "error" and not refused:
                wrong.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        await page.goto(f"{self.url}/")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_selector("#live.on")
        yield page
        assert wrong == []
        await context.close()


async def as_in_older_browsers(page: Page) -> None:
    """Elements cannot be moved in this one: what is put elsewhere was taken out before."""
    await page.add_init_script("delete Element.prototype.moveBefore")


@asynccontextmanager
async def staged(server: str, browser: Browser, log: Path) -> AsyncIterator[Stage]:
    """A service with an empty farm, and a browser to look at it."""
    async with fresh_database(server) as database:
        with service(database, log, lease_seconds=3_600) as url:
            async with httpx.AsyncClient(base_url=url, headers=AUTH, timeout=60) as client:
                yield Stage(url, Farm(client), browser, database)


@pytest.fixture(scope="session")
async def stage(
    server: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    async with staged(server, browser, tmp_path_factory.mktemp("page") / "log") as found:
        await furnish(found.farm, agents=14)
        yield found
