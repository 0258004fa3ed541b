"""A tree of many queues: what is shown is drawn, all of it can be found, nobody is held up."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Route, expect

from app.figures.picture import AT_A_TIME
from app.page import answers, queues
from app.policy.tree import Queue
from tests.farm import Farm
from tests.page.conftest import Stage, staged
from tests.page.visitor import visitor
from tests.tokens import made

TOP, BELOW = 9, 36
AT_ONCE = 300  # as the script has it


@pytest.fixture(scope="module")
async def large(
    server: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """More queues than are opened at first."""
    async with staged(server, browser, tmp_path_factory.mktemp("large") / "log") as found:
        for top in range(1, TOP + 1):
            await found.farm.queue(f"/q{top}")
            for below in range(1, BELOW + 1):
                await found.farm.queue(f"/q{top}/part{below}")
        yield found


def row(fullpath: str) -> str:
    return f'#rows tr[data-path="{fullpath}"]'


async def test_only_what_is_open_is_drawn_and_the_rest_when_it_is_opened(large: Stage) -> None:
    async with large.window() as page:
        rows = page.locator("#rows tr")
        await expect(rows).to_have_count(1 + TOP)
        await expect(page.locator("#title .count")).to_have_text(str(TOP * (1 + BELOW)))
        await page.locator(row("/q3")).focus()
        await page.keyboard.press("ArrowRight")
        await expect(rows).to_have_count(1 + TOP + BELOW)
        await expect(page.locator(row("/q3"))).to_have_attribute("aria-expanded", "true")
        paths = [await one.get_attribute("data-path") for one in await rows.all()]
        assert paths[4:6] == ["/q3/part1", "/q3/part2"]
        assert paths[3 + BELOW : 5 + BELOW] == [f"/q3/part{BELOW}", "/q4"]
        await expect(page.locator(row("/q3/part2"))).to_have_attribute("aria-level", "3")
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(row("/q3/part1"))).to_be_focused()
        await page.reload()
        await expect(page.locator(row("/q3/part10"))).to_be_visible()
        await page.locator(row("/q3")).focus()
        await page.keyboard.press("ArrowLeft")
        await expect(rows).to_have_count(1 + TOP)
        await expect(page.locator(row("/q3"))).to_be_focused()


async def test_what_is_not_drawn_is_found_and_offered_and_as_it_is_now_when_it_is(
    large: Stage,
) -> None:
    async with large.window() as page:
        await expect(page.locator(row("/q7/part4"))).to_have_count(0)
        await large.farm.set_queue("/q7/part4", paused=True)
        await large.farm.job("work", tasks=7, queue="/q7/part4")
        await expect(page.locator(row("/q7")).locator("td.waiting")).to_have_text("7")
        await page.get_by_label("Find").fill("Q7/part4")
        shown = page.locator("#rows tr")
        await expect(shown).to_have_count(3)
        await expect(page.locator(row("/q7/part4")).locator("td.waiting")).to_have_text("7")
        await expect(page.locator(row("/q7/part4")).locator(".flag")).to_have_text("paused")
        await page.locator(row("/q7/part4")).locator(".text").click()
        await page.get_by_label("Move below").fill("q2/part1")
        offered = page.locator("#paths option")
        await expect(offered).to_have_count(11)
        assert [await one.get_attribute("value") for one in await offered.all()] == [
            f"/q2/part{number}" for number in (1, *range(10, 20))
        ]


async def test_a_tree_that_is_drawn_in_parts_is_whole_for_who_goes_to_its_end(
    large: Stage,
) -> None:
    async with large.window() as page:
        await page.locator("#rows tr").first.focus()
        await page.evaluate("window.setTimeout = () => 0")  # no other part is drawn by itself
        await page.get_by_role("button", name="Open all").click()
        await expect(page.locator("#rows tr")).to_have_count(AT_ONCE)
        await page.locator("#rows tr").first.focus()
        await page.keyboard.press("End")
        await expect(page.locator(row(f"/q{TOP}/part{BELOW}"))).to_be_focused()
        await expect(page.locator("#rows tr")).to_have_count(1 + TOP * (1 + BELOW))


async def test_bars_of_rows_that_were_closed_are_as_it_is_now_when_they_are_opened(
    large: Stage,
) -> None:
    bar = f"{row('/q5/part1')} td:nth-child(2)"
    async with large.window() as page:
        await page.locator(row("/q5")).focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(bar)).to_have_attribute("aria-label", re.compile("^0 agents"))
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator(bar)).to_have_count(0)
        await large.farm.job("one", queue="/q5/part1")
        await large.farm.agent("busy")
        await large.farm.assign("busy")
        await expect(page.locator(row("/q5")).locator("td:nth-child(3)")).to_have_text("1")
        await page.keyboard.press("ArrowRight")
        await expect(page.locator(bar)).to_have_attribute("aria-label", re.compile("^1 agents"))
    await large.farm.finish("busy")


async def test_a_tree_that_came_broken_is_asked_for_again(large: Stage) -> None:
    async with large.window() as page:

        async def broken(route: Route) -> None:
            await route.fulfill(status=200, content_type="application/json", body="{")

        await page.route("**/page/queues/rows", broken, times=1)
        await page.reload()
        await expect(page.locator("#told")).to_contain_text("It is tried again")
        await expect(page.locator("#rows tr")).to_have_count(1 + TOP)


async def test_why_a_queue_gets_no_agent_is_asked_when_the_box_is_opened_alone(
    large: Stage,
) -> None:
    asked: list[str] = []
    async with large.window() as page:
        page.on("request", lambda request: asked.append(request.url))
        await page.locator(row("/q6")).locator(".text").click()
        summary = page.locator("details.why-box > summary")
        async with page.expect_response("**/why"):
            await summary.click()
        await summary.click()
        await expect(page.locator("details.why-box[open]")).to_have_count(0)
        async with page.expect_response("**/why"):
            await summary.click()
    assert len([url for url in asked if url.endswith("/why")]) == 2


async def test_rows_are_how_a_queue_is_set_and_what_goes_on_in_it(
    app: FastAPI, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.queue("/films", minimum_agents=1, maximum_agents=9, priority=3, weight=20)
    await farm.job("shot", tasks=7, queue="/films")
    guest = visitor(app)
    await guest.log_in(await made(farm.client, "viewer"))
    told = json.loads(await guest.read("/page/queues/rows"))
    number = farm.queues["/films"]
    films = [one for one in told["rows"] if one[0] == number]
    assert films == [[number, 0, "films", 3, 20, 1, 9, 0, films[0][8], 7, 0, False, 0]]
    assert told["since"].startswith(app.state.board._epoch)
    monkeypatch.setattr(answers, "LONG", 10)
    answer = await guest.get("/page/queues/rows", **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["rows"] == told["rows"]
    answer = await guest.get("/page/queues/rows", **{"Accept-Encoding": "identity"})
    assert "content-encoding" not in answer.headers


async def test_others_have_their_turn_while_a_large_tree_is_made() -> None:
    root = Queue(id=0)
    every = {number: Queue(id=number, parent=root) for number in range(1, 20 * AT_A_TIME)}
    names = {number: f"q{number}" for number in every}
    kept: Any = SimpleNamespace(farm=SimpleNamespace(root=root), queues=every, names=names)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    drawn = json.loads(f"[{await queues._drawn(kept, {})}]")
    task.cancel()
    assert len(drawn) == 20 * AT_A_TIME
    assert turns >= 19
