"""The page in a real browser: what is seen, and what is done by hand, by key and by touch."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.figures.past import remember
from tests.page.conftest import Stage, as_in_older_browsers
from tests.tokens import made

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
PAGES = {
    "queues": "/",
    "jobs": "/page/jobs",
    "job": "/page/jobs/3",
    "agents": "/page/agents",
    "history": "/page/history",
}
PHONE = {"viewport": {"width": 390, "height": 780}, "is_mobile": True, "has_touch": True}
TALL = {"width": 1280, "height": 2000}  # a hand that drags does not scroll
SERIOUS = {"serious", "critical"}


def row(_: Page, fullpath: str) -> str:
    return f'#rows tr[data-path="{fullpath}"]'


async def serious_faults(page: Page) -> list[str]:
    """What axe finds that would keep somebody from using the page."""
    await page.evaluate(AXE)
    found = json.loads(
        await page.evaluate("axe.run().then((told) => JSON.stringify(told.violations))")
    )
    return [
        f"{one['id']}: {node['html']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_a_screen_reader_finds_its_way_on_every_page(stage: Stage, look: str) -> None:
    await remember(stage.database)
    options = PHONE if look == "phone" else {"color_scheme": look}
    async with stage.window(**options) as page:
        for path in PAGES.values():
            await page.goto(stage.url + path)
            live = path != "/page/history"  # which is of what was
            await page.wait_for_selector("#live.on" if live else "canvas")
            if path == "/":
                await page.locator(row(page, "/films/fjord")).locator(".text").click()
                await page.wait_for_selector("#panel h2")
            assert await serious_faults(page) == [], path
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await page.evaluate(wide) <= 0, f"{path} is wider than the screen"


async def test_the_login_is_readable_and_says_what_is_wrong(stage: Stage) -> None:
    page = await stage.browser.new_page()
    await page.goto(f"{stage.url}/page/agents")
    assert await serious_faults(page) == []
    await page.get_by_label("Token").fill("fq_viewer_1_nonsense")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("this token is not valid")
    assert "nonsense" not in page.url
    await page.close()


async def test_the_tree_follows_what_happens_without_being_loaded_again(stage: Stage) -> None:
    farm = stage.farm
    await farm.queue("/live")
    async with stage.window() as page:
        await expect(page.locator(row(page, "/live"))).to_be_visible()
        await page.evaluate("window.here = true")
        await farm.job("live work", tasks=7, queue="/live")
        cells = page.locator(row(page, "/live")).locator("td")
        await expect(cells.nth(6)).to_have_text("7")
        await farm.set_queue("/live", paused=True)
        await expect(page.locator(row(page, "/live")).locator(".flag")).to_have_text("paused")
        await farm.queue("/live/below")
        await expect(page.locator(row(page, "/live/below"))).to_have_count(1)
        assert await page.evaluate("window.here") is True


async def test_limits_are_set_in_place_and_a_wrong_one_is_told_at_its_field(stage: Stage) -> None:
    await stage.farm.queue("/limits", maximum_agents=4)
    async with stage.window() as page:
        await page.locator(row(page, "/limits")).locator(".text").click()
        await page.get_by_label("Minimum", exact=True).fill("9")
        await page.get_by_role("button", name="Save").click()
        field = page.get_by_label("Maximum", exact=True)
        await expect(page.locator("#limits .problem")).to_contain_text("must not be over")
        await page.get_by_label("Minimum", exact=True).fill("three")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#f-minimum_agents-problem")).to_contain_text("valid integer")
        await page.get_by_label("Minimum", exact=True).fill("2")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#preview .own")).to_contain_text("/limits")
        await field.fill("")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#told")).to_contain_text("/limits is saved")
        await expect(page.locator(row(page, "/limits")).locator("td.min")).to_have_text("2")
    seen = await stage.farm.get(f"/jobqueues/{stage.farm.queues['/limits']}")
    assert (seen["minimum_agents"], seen["maximum_agents"]) == (2, None)


async def test_a_queue_is_made_moved_by_menu_paused_and_deleted(stage: Stage) -> None:
    await stage.farm.queue("/place")
    async with stage.window() as page:
        page.on("dialog", lambda dialog: dialog.accept())
        await page.locator(row(page, "/")).locator(".text").click()
        await page.get_by_label("New queue at the top level").fill("made here")
        await page.get_by_role("button", name="Create").click()
        await page.locator(row(page, "/made here")).locator(".text").click()
        await page.get_by_label("Move below").fill("/nowhere")
        await page.get_by_role("button", name="Move", exact=True).click()
        await expect(page.locator("#f-parent-problem")).to_have_text("there is no queue /nowhere")
        await page.get_by_label("Move below").fill("/place")
        await page.get_by_role("button", name="Move", exact=True).click()
        moved = page.locator(row(page, "/place/made here"))
        await expect(moved).to_be_attached()
        await page.get_by_role("button", name="Drain and pause").click()
        await expect(moved.locator(".flag")).to_have_text("paused")
        await page.get_by_role("button", name="Resume").click()
        await expect(moved.locator(".flag")).to_have_text("")
        await page.get_by_role("button", name="Delete").click()
        await expect(moved).to_have_count(0)
        await expect(page.locator("#panel")).to_be_hidden()


async def test_a_queue_is_dragged_onto_another(stage: Stage) -> None:
    await stage.farm.queue("/drag")
    await stage.farm.queue("/onto")
    async with stage.window(viewport=TALL) as page:
        await page.drag_and_drop(f"{row(page, '/drag')} .text", f"{row(page, '/onto')} .text")
        await expect(page.locator("#told")).to_contain_text("moved: /onto/drag")
        await expect(page.locator(row(page, "/onto/drag"))).to_be_attached()  # rows stand still now
        await page.drag_and_drop(f"{row(page, '/onto')} .text", f"{row(page, '/films')} .text")
        await expect(page.locator(row(page, "/films/onto/drag"))).to_be_attached()


async def test_the_queue_is_dragged_that_was_pressed_though_rows_moved_meanwhile(
    stage: Stage,
) -> None:
    await stage.farm.queue("/pressed")
    await stage.farm.queue("/taken to")
    async with stage.window(viewport=TALL) as page:
        await page.locator(row(page, "/pressed")).locator(".text").hover()
        await page.mouse.down()
        await stage.farm.queue("/above all")
        await expect(page.locator(row(page, "/above all"))).to_be_visible()
        await page.locator(row(page, "/taken to")).locator(".text").hover()
        await page.mouse.up()
        await expect(page.locator(row(page, "/taken to/pressed"))).to_be_attached()


async def test_the_tree_is_walked_opened_and_read_by_keys_alone(stage: Stage) -> None:
    async with stage.window() as page:
        focused = page.locator("#rows tr:focus")
        await page.locator("#rows tr").first.focus()
        await page.keyboard.press("ArrowDown")
        first = await focused.get_attribute("data-path")
        await page.locator(row(page, "/films")).focus()
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator(row(page, "/films/fjord"))).to_be_hidden()
        await expect(page.locator(row(page, "/films"))).to_have_attribute("aria-expanded", "false")
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("ArrowRight")
        assert await focused.get_attribute("data-path") == "/films/fjord"
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel h2")).to_have_text("/films/fjord")
        await page.keyboard.press("Escape")
        await expect(page.locator("#panel")).to_be_hidden()
        assert await focused.get_attribute("data-path") == "/films/fjord"
        await page.keyboard.press("Home")
        assert await focused.get_attribute("data-path") == "/"
        assert first not in {None, "/"}


async def test_the_tree_shows_what_is_looked_for_with_what_is_above_it(stage: Stage) -> None:
    async with stage.window() as page:
        await page.get_by_label("Find").fill("nightly")
        shown = page.locator("#rows tr:visible")
        await expect(shown).to_have_count(3)
        assert [await one.get_attribute("data-path") for one in await shown.all()] == [
            "/", "/tests", "/tests/nightly",
        ]  # fmt: skip


async def test_jobs_are_found_chosen_and_changed_in_bulk(stage: Stage) -> None:
    farm = stage.farm
    await farm.queue("/bulk")
    await farm.queue("/bulk target")
    titles = ["bulk one", "bulk two", "bulk three"]
    for title in titles:
        await farm.job(title, queue="/bulk")
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/jobs")
        await page.get_by_role("searchbox", name="Title").fill("BULK")
        await page.get_by_role("button", name="Show").click()
        await expect(page).to_have_url(re.compile(r"title=BULK"))
        await expect(page.locator("#rows tr")).to_have_count(3)
        await page.get_by_label("Choose all").check()
        await expect(page.locator("#chosen")).to_have_text("3 chosen")
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("#rows .s-paused")).to_have_count(3)
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator("#rows .s-queued")).to_have_count(3)
        await page.get_by_label("Priority", exact=True).fill("much")
        await page.get_by_role("button", name="Set").click()
        await expect(page.locator("#b-priority-problem")).to_contain_text("valid integer")
        await page.get_by_label("Priority", exact=True).fill("7")
        await page.get_by_role("button", name="Set").click()
        await expect(page.locator("#told")).to_contain_text("3 jobs are changed")
        await page.get_by_label("Queue to move to").fill("/bulk target")
        await page.get_by_role("button", name="Move").click()
        await expect(page.locator("#told")).to_contain_text("3 jobs are moved")
    for title in titles:
        job = await farm.see_job(title)
        assert (job["priority"], job["queue"]) == (7, "/bulk target")


async def test_the_list_of_jobs_follows_what_happens(stage: Stage) -> None:
    farm = stage.farm
    await farm.queue("/watched", priority=900, minimum_agents=1)
    await farm.agent("watcher", tags=["watched"])
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/jobs?queue=/watched")
        await page.wait_for_selector("#live.on")
        await farm.job("watched", tasks=4, batch=2, queue="/watched", required_tags=["watched"])
        job = page.locator("#rows tr", has_text="watched")
        await expect(job.locator(".chip")).to_have_text("queued")
        await farm.assign("watcher")
        await expect(job.locator(".chip")).to_have_text("running")
        await farm.finish("watcher")
        await expect(job.locator("td.done")).to_have_text("50 %")
        await farm.assign("watcher")
        await farm.finish("watcher")
        await expect(job.locator(".chip")).to_have_text("done")


async def test_a_job_shows_its_tasks_and_the_error_of_the_one_that_is_chosen(stage: Stage) -> None:
    farm = stage.farm
    await farm.queue("/wrong", priority=950, minimum_agents=1)
    await farm.agent("clumsy", tags=["clumsy"])
    await farm.job("wrong", tasks=6, requeue=0, queue="/wrong", required_tags=["clumsy"])
    await farm.assign("clumsy")
    await farm.fail("clumsy", "no licence\nexit code 3")
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/jobs/{farm.jobs['wrong']}")
        await expect(page.locator("#where")).to_have_text("1 to 6 of 6")
        await page.locator("#frames").focus()
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("#task pre")).to_have_text("no licence\nexit code 3")
        await expect(page.locator("#task")).to_contain_text("clumsy")
        await page.get_by_role("button", name="Retry 1 failed").click()
        await expect(page.locator("#facts .legend")).to_contain_text("0 failed")
        await expect(page.locator("#task .chip")).to_have_text("waiting")
        await page.get_by_role("button", name="Pause", exact=True).click()
        await expect(page.locator("#facts .chip")).to_have_text("paused")
        await expect(page.locator("#facts .first-reason")).to_contain_text("is paused")


async def test_a_job_of_a_million_tasks_is_shown_a_window_at_a_time(stage: Stage) -> None:
    await stage.farm.job("a million", tasks=1_000_000, paused=True)
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/jobs/{stage.farm.jobs['a million']}")
        thin = "\N{NARROW NO-BREAK SPACE}"
        where = page.locator("#where")
        await expect(where).to_have_text(f"1 to 4{thin}000 of 1{thin}000{thin}000")
        await page.get_by_role("button", name="Later").click()
        await expect(where).to_have_text(f"4{thin}001 to 8{thin}000 of 1{thin}000{thin}000")
        await page.locator("#frames").focus()
        await page.keyboard.press("End")
        await expect(page.locator("#task h3")).to_contain_text("Frame 8000")


async def test_agents_are_drained_disabled_and_enabled_and_show_their_failures(
    stage: Stage,
) -> None:
    farm = stage.farm
    await farm.queue("/agents", priority=980, minimum_agents=1)
    await farm.agent("bold", tags=["bold"])
    await farm.job("for bold", tasks=3, requeue=9, queue="/agents", required_tags=["bold"])
    await farm.assign("bold")
    await farm.fail("bold", "segmentation fault")
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/agents?host=bold")
        await page.wait_for_selector("#live.on")
        agent = page.locator("#rows tr")
        await expect(agent).to_have_count(1)
        await expect(agent).to_contain_text("1")
        await farm.assign("bold")
        await expect(agent.locator(".work")).to_contain_text("for bold")
        await agent.get_by_role("link", name="bold", exact=True).click()
        await expect(page.locator("#panel")).to_contain_text("segmentation fault")
        await page.locator("#panel").get_by_role("button", name="Drain").click()
        await expect(agent.locator(".chip")).to_have_text("draining")
        await page.locator("#panel").get_by_role("button", name="Enable").click()
        await expect(agent.locator(".chip")).to_have_text("online")
        await page.get_by_label("Choose bold").check()
        await page.locator("#bulk-bar").get_by_role("button", name="Disable").click()
        await expect(agent.locator(".chip")).to_have_text("disabled")
        await expect(agent.locator(".work")).to_have_text("")


async def test_who_may_only_look_is_offered_nothing_else(stage: Stage) -> None:
    token = await made(stage.farm.client, "viewer", "looker")
    async with stage.window(token) as page:
        await page.locator(row(page, "/films")).locator(".text").click()
        await expect(page.locator("#panel dl")).to_be_visible()
        await expect(page.locator("#panel form")).to_have_count(0)
        await page.locator(row(page, "/tv")).locator(".text").hover()
        assert await page.locator("[draggable=true]").count() == 0
        await page.goto(f"{stage.url}/page/jobs")
        assert await page.get_by_role("checkbox").count() == 0


async def test_a_page_whose_token_is_revoked_goes_back_to_the_login(stage: Stage) -> None:
    client = stage.farm.client
    made_now = await client.post("/tokens", json={"role": "viewer", "name": "brief"})
    async with stage.window(made_now.json()["token"]) as page:
        await client.delete(f"/tokens/{made_now.json()['id']}")
        await expect(page.get_by_label("Token")).to_be_visible()


async def test_who_logs_out_is_at_the_login_and_back_does_not_help(stage: Stage) -> None:
    async with stage.window() as page:
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        await page.goto(f"{stage.url}/page/jobs")
        await expect(page.get_by_label("Token")).to_be_visible()


@pytest.mark.parametrize("movable", [True, False])
async def test_why_a_job_does_not_run_stays_until_the_new_answer_is_there(
    stage: Stage, movable: bool
) -> None:
    await stage.farm.job("asks much", cpus=512)
    async with stage.window() as page:
        if not movable:
            await as_in_older_browsers(page)
        await page.goto(f"{stage.url}/page/jobs/{stage.farm.jobs['asks much']}")
        why = page.locator("#facts .why-box")
        await expect(why).to_contain_text("fewer than 512 cpus")
        asked, answer = asyncio.Event(), asyncio.Event()

        async def hold(route: Route) -> None:
            asked.set()
            await answer.wait()
            await route.continue_()

        await page.route("**/why", hold)
        await stage.farm.post(f"/jobs/{stage.farm.jobs['asks much']}/pause")
        await expect(page.locator("#facts .chip")).to_have_text("paused")
        await asked.wait()
        await expect(why).to_contain_text("fewer than 512 cpus")
        answer.set()
        await expect(why).to_contain_text("is paused")
