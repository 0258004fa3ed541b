"""What is done by buttons: each does it, and the farm has it then."""

import pytest
from playwright.async_api import Page, expect

from tests.page.conftest import Stage, as_in_older_browsers
from tests.tokens import made


async def opened(page: Page, stage: Stage, title: str) -> None:
    """The page of a job, on which every question is answered with yes."""
    page.on("dialog", lambda dialog: dialog.accept())
    await page.goto(f"{stage.url}/page/jobs/{stage.farm.jobs[title]}")
    await page.wait_for_selector("#live.on")


async def at_work(stage: Stage, name: str, tasks: int = 2) -> None:
    """A job of this name, at which an agent of this name works; nobody else can."""
    await stage.farm.queue(f"/{name}", priority=970, minimum_agents=1)
    await stage.farm.agent(name, tags=[name])
    await stage.farm.job(name, tasks, queue=f"/{name}", required_tags=[name], requeue=0)
    await stage.farm.assign(name)


async def test_a_job_is_done_again_as_a_whole(stage: Stage) -> None:
    await at_work(stage, "again", tasks=1)
    await stage.farm.finish("again")
    async with stage.window() as page:
        await opened(page, stage, "again")
        await expect(page.locator("#facts .chip")).to_have_text("done")
        await page.get_by_role("button", name="Rerun all").click()
        await expect(page.locator("#told")).to_contain_text("all tasks wait again")
        await expect(page.locator("#facts .chip")).to_have_text("queued")
    assert (await stage.farm.see_job("again"))["tasks"]["waiting"] == 1


async def test_what_runs_of_a_job_is_taken_back(stage: Stage) -> None:
    await at_work(stage, "stopped")
    async with stage.window() as page:
        await opened(page, stage, "stopped")
        await expect(page.locator("#facts .legend")).to_contain_text("1 running")
        await page.get_by_role("button", name="Pause and stop").click()
        await expect(page.locator("#told")).to_contain_text("what ran is taken back")
        await expect(page.locator("#facts .chip")).to_have_text("paused")
        await expect(page.locator("#facts .legend")).to_contain_text("0 running")
    job = await stage.farm.see_job("stopped")
    assert (job["tasks"]["waiting"], job["assigned_agents"]) == (2, 0)


async def test_a_job_is_deleted_and_the_list_comes_back_without_it(stage: Stage) -> None:
    await stage.farm.job("deleted here", paused=True)
    async with stage.window() as page:
        await opened(page, stage, "deleted here")
        await page.get_by_role("button", name="Delete").click()
        await expect(page).to_have_url(f"{stage.url}/page/jobs")
        await expect(page.locator("#rows tr", has_text="deleted here")).to_have_count(0)
    gone = await stage.farm.client.get(f"/jobs/{stage.farm.jobs['deleted here']}")
    assert gone.status_code == 404


async def test_the_settings_of_a_job_are_saved_and_a_wrong_one_is_told_at_its_field(
    stage: Stage,
) -> None:
    await stage.farm.queue("/settings")
    await stage.farm.job("to be set", paused=True)
    async with stage.window() as page:
        await opened(page, stage, "to be set")
        await page.get_by_text("Settings", exact=True).click()
        await page.get_by_label("Weight").fill("heavy")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#f-weight-problem")).to_contain_text("valid integer")
        for label, value in {"Weight": "31", "Priority": "-4", "Maximum": "5"}.items():
            await page.get_by_label(label).fill(value)
        await page.get_by_label("Title").fill("is set")
        await page.get_by_label("Queue").fill("/settings")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("#told")).to_contain_text("is saved")
        await expect(page.locator("#facts h1")).to_contain_text("is set")
        await expect(page.locator("#facts")).to_contain_text("maximum 5, priority -4, weight 31")
    job = await stage.farm.see_job("to be set")
    names = ("title", "queue", "weight", "priority", "maximum_agents", "minimum_agents")
    assert [job[name] for name in names] == ["is set", "/settings", 31, -4, 5, None]


async def test_failed_tasks_of_many_jobs_are_tried_again(stage: Stage) -> None:
    titles = ["failed one", "failed two"]
    await at_work(stage, "failing", tasks=1)
    await stage.farm.fail("failing")
    for title in titles:
        await stage.farm.job(title, queue="/failing", required_tags=["failing"], requeue=0)
        await stage.farm.assign("failing")
        await stage.farm.fail("failing")
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/jobs?state=failed&queue=/failing&title=failed")
        await expect(page.locator("#rows tr .s-failed")).to_have_count(2)
        await page.get_by_label("Choose all").check()
        await page.get_by_role("button", name="Retry failed").click()
        await expect(page.locator("#told")).to_contain_text("failed tasks of 2 jobs wait again")
        await expect(page.locator("#rows tr .s-failed")).to_have_count(0)
    assert {(await stage.farm.see_job(title))["state"] for title in titles} == {"queued"}


async def test_an_agent_is_forgotten(stage: Stage) -> None:
    await stage.farm.agent("forgettable")
    async with stage.window() as page:
        page.on("dialog", lambda dialog: dialog.accept())
        await page.goto(f"{stage.url}/page/agents?host=forgettable")
        await page.locator("#rows").get_by_role("link", name="forgettable").click()
        await page.get_by_role("button", name="Forget").click()
        await expect(page.locator("#told")).to_contain_text("the agent is forgotten")
        await expect(page.locator("#rows")).to_contain_text("No agents here")
        await expect(page.locator("#panel")).to_be_hidden()
    agent = stage.farm.agents["forgettable"]
    assert (await stage.farm.client.get(f"/agents/{agent}")).status_code == 404


async def test_an_operator_of_a_queue_drags_what_is_below_it_and_nothing_else(
    stage: Stage,
) -> None:
    farm = stage.farm
    for path in ("/mine", "/mine/one", "/mine/two"):
        await farm.queue(path)
    token = await made(farm.client, "operator", "of-mine", job_queue_id=farm.queues["/mine"])
    async with stage.window(token) as page:

        def text(path: str) -> str:
            return f'#rows tr[data-path="{path}"] .text'

        for path in ("/", "/mine", "/tv/trailer", "/mine/one"):
            await page.locator(text(path)).hover()
        draggable = page.locator("#rows tr[draggable=true]")
        assert [await row.get_attribute("data-path") for row in await draggable.all()] == [
            "/mine/one"
        ]
        await page.drag_and_drop(text("/mine/one"), text("/mine/two"))
        await expect(page.locator("#told")).to_contain_text("moved: /mine/two/one")
        await page.locator(text("/mine/two")).click()
        await expect(page.locator("#panel h2")).to_have_text("/mine/two")
        await expect(page.locator(text("/mine/two/one"))).to_be_attached()
        await page.get_by_label("Move below").focus()
        offered = page.locator("#paths option")
        assert [await one.get_attribute("value") for one in await offered.all()] == [
            "/mine", "/mine/two", "/mine/two/one",
        ]  # fmt: skip


async def drawn_anew_under_the_mouse(page: Page, at: str, what: str) -> None:
    """A click on `what`, between whose press and release all of `at` is drawn anew."""
    await page.locator(what).hover()
    await page.mouse.down()
    await page.evaluate(
        """at => new Promise(done => {
            document.addEventListener("htmx:afterSettle", done, { once: true });
            htmx.trigger(at, "refresh");
        })""",
        at,
    )
    await page.mouse.up()


async def test_a_click_on_a_button_that_is_drawn_anew_meanwhile_is_not_lost(stage: Stage) -> None:
    await stage.farm.job("clicked")
    async with stage.window() as page:
        await opened(page, stage, "clicked")
        await drawn_anew_under_the_mouse(page, "#facts", "#do-pause")
        await expect(page.locator("#facts .chip")).to_have_text("paused")
        await drawn_anew_under_the_mouse(page, "#facts", "#facts .columns a")
        await expect(page).to_have_url(f"{stage.url}/page/jobs?queue=/")
        await page.goto(f"{stage.url}/page/jobs?title=clicked")
        await page.wait_for_selector("#live.on")
        await drawn_anew_under_the_mouse(page, "#rows", "#rows input[name=id]")
        await expect(page.locator("#chosen")).to_have_text("1 chosen")


@pytest.mark.parametrize("movable", [True, False])
async def test_the_focus_stays_on_a_job_that_another_comes_before(
    stage: Stage, movable: bool
) -> None:
    await stage.farm.job("in focus", paused=True)
    async with stage.window() as page:
        if not movable:
            await as_in_older_browsers(page)
        await page.goto(f"{stage.url}/page/jobs?title=in+focus")
        await page.wait_for_selector("#live.on")
        for one in ("link", "checkbox"):
            focused = page.locator("#rows tr").last.get_by_role(one)
            await focused.focus()
            await stage.farm.job(f"in focus: {one}", paused=True)
            await expect(page.locator("#rows tr .title").first).to_have_text(f"in focus: {one}")
            await expect(focused).to_be_focused()
