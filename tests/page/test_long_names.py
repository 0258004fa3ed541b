"""Names as long as they may be, on a screen and on a phone."""

from typing import Any

import pytest

from tests.page.conftest import Stage

PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("look", [{}, PHONE], ids=["screen", "phone"])
async def test_the_longest_names_fit_the_screen(stage: Stage, look: dict[str, Any]) -> None:
    name = "w" * 255
    queue = await stage.farm.queue(f"/{name}")
    job = await stage.farm.job(name, queue=f"/{name}")
    async with stage.window(**look) as page:
        for path in ["/", "/page/jobs", f"/page/jobs/{job['id']}", "/page/history"]:
            await page.goto(stage.url + path)
            await page.wait_for_selector("h1")
            if path.startswith("/page/jobs/"):
                await page.wait_for_selector(".why-box .why")
            assert await page.evaluate(WIDE) <= 0, f"{path} is wider than the screen"
    for gone in [f"/jobs/{job['id']}", f"/jobqueues/{queue['id']}"]:
        assert (await stage.farm.client.delete(gone)).status_code == 204
