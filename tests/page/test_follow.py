"""Lists that are filtered, and estimates: they follow the farm without being loaded again."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.conftest import fresh_database
from tests.farm import Farm
from tests.page.conftest import Stage
from tests.processes import service
from tests.tokens import AUTH


async def listed(page: Page, stage: Stage, query: str) -> None:
    """Open the list, and mark this page of the browser."""
    await page.goto(f"{stage.url}/page/jobs?{query}")
    await page.wait_for_selector("#live.on")
    await page.evaluate("window.here = true")


async def worker(stage: Stage, name: str) -> str:
    """A queue of that name whose job is this agent's next; its path."""
    await stage.farm.queue(f"/{name}", priority=990, minimum_agents=1)
    await stage.farm.agent(name, tags=[name])
    return f"/{name}"


async def test_a_list_of_one_state_has_the_jobs_that_are_in_it_now(stage: Stage) -> None:
    farm = stage.farm
    queue = await worker(stage, "states")
    async with (
        stage.window() as failed,
        stage.window() as running,
        stage.window() as queued,
    ):
        for page, state in ((failed, "failed"), (running, "running"), (queued, "queued")):
            await listed(page, stage, f"state={state}&queue={queue}")
        await farm.job("comes", queue=queue, required_tags=["states"], requeue=0)
        job = [page.locator("#rows tr", has_text="comes") for page in (failed, running, queued)]
        await expect(job[2]).to_have_count(1)
        await farm.assign("states")
        await expect(job[1]).to_have_count(1)
        await expect(job[2]).to_have_count(0)
        await farm.fail("states")
        await expect(job[0]).to_have_count(1)
        await expect(job[1]).to_have_count(0)
        await farm.post(f"/jobs/{farm.jobs['comes']}/rerun")
        await expect(job[0]).to_have_count(0)
        for page in (failed, running, queued):
            assert await page.evaluate("window.here") is True


async def test_rows_show_another_title_queue_priority_and_reason_at_once(stage: Stage) -> None:
    farm = stage.farm
    await farm.queue("/rows")
    await farm.queue("/rows/below")
    parent = await farm.job("rows parent", paused=True)
    await farm.job("rows child", queue="/rows", parents=[parent["id"]])
    async with stage.window() as page:
        await listed(page, stage, "queue=/rows")
        row = page.locator(f"#j{farm.jobs['rows child']}")
        await expect(row.locator("td.reason")).to_have_text(f"waits for job {parent['id']}")
        await farm.patch(f"/jobs/{farm.jobs['rows child']}", {"priority": 7})
        await expect(row.locator("td.prio")).to_have_text("7")  # the page hears of changes by now
        await page.evaluate("htmx.trigger = () => {}")  # no list is loaded again
        moved = {"title": "renamed", "queue": "/rows/below", "priority": 42, "parents": []}
        await farm.patch(f"/jobs/{farm.jobs['rows child']}", moved)
        await expect(row.locator("td.title")).to_have_text("renamed")
        await expect(row.locator("td.queue")).to_have_text("/rows/below")
        await expect(row.locator("td.prio")).to_have_text("42")
        await expect(row.locator("td.reason")).to_have_text("")
    await farm.client.delete(f"/jobs/{farm.jobs['rows child']}")


async def test_a_job_that_moves_leaves_one_list_and_comes_into_the_other(stage: Stage) -> None:
    farm = stage.farm
    for name in ("/from here", "/to there"):
        await farm.queue(name)
    await farm.job("wanderer", queue="/from here")
    async with stage.window() as old, stage.window() as new:
        await listed(old, stage, "queue=/from here")
        await listed(new, stage, "queue=/to there&title=WANDER")
        await farm.set_job("wanderer", queue="/to there")
        await expect(new.locator("#rows tr", has_text="wanderer")).to_have_count(1)
        await expect(old.locator("#rows tr", has_text="wanderer")).to_have_count(0)


async def test_a_list_of_agents_of_one_state_follows_as_well(stage: Stage) -> None:
    await stage.farm.agent("turncoat")
    async with stage.window() as page:
        await page.goto(f"{stage.url}/page/agents?state=draining&host=turncoat")
        await page.wait_for_selector("#live.on")
        await page.evaluate("setTimeout = () => {}")  # only what is told of is left
        agent = page.locator("#rows tr", has_text="turncoat")
        await stage.farm.set_agent("turncoat", state="draining")
        await expect(agent).to_have_count(1)
    await stage.farm.set_agent("turncoat", state="disabled")


@pytest.fixture
async def quiet(
    server: str, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A small farm with task times of ten minutes, and a service that makes estimates."""
    log: Path = tmp_path_factory.mktemp("quiet") / "log"
    async with fresh_database(server) as database:
        with service(database, log, lease_seconds=3_600, estimates=True) as url:
            async with httpx.AsyncClient(base_url=url, headers=AUTH, timeout=60) as client:
                farm = Farm(client)
                await farm.queue("/a", weight=10)
                await farm.queue("/b", weight=10)
                await farm.job("long", 40, queue="/a")
                await farm.job("later", 20, queue="/b")
                for number in range(4):
                    await farm.agent(f"a{number}")
                    await farm.assign(f"a{number}")
                    await farm.finish(f"a{number}")
                connection = await asyncpg.connect(database.replace("+asyncpg", ""))
                await connection.execute(
                    "UPDATE assignments SET started_at = ended_at - interval '10 min'"
                )
                await connection.close()
                yield Stage(url, farm, browser, database)


async def test_who_only_waits_before_the_page_sees_the_estimate_come(quiet: Stage) -> None:
    """Nothing of the farm changes meanwhile, and nobody has asked for an estimate before."""
    job = quiet.farm.jobs["later"]
    async with quiet.window() as page, quiet.window() as jobs:
        await page.goto(f"{quiet.url}/page/jobs/{job}")
        facts = page.locator("#facts")
        await expect(facts.get_by_text("Expected", exact=True)).to_have_count(0)
        await expect(facts.get_by_text("Expected", exact=True)).to_be_visible(timeout=60_000)
        await expect(facts.get_by_text("Position", exact=True)).to_be_visible()
        await expect(facts.get_by_text("Next start", exact=True)).to_be_visible()
        await expect(facts).to_contain_text("in 8 of 10 cases between")
        await jobs.goto(f"{quiet.url}/page/jobs")
        cell = jobs.locator(f"#j{job} td.estimate")
        await expect(cell).to_contain_text("done in", timeout=60_000)
        told = await quiet.farm.see_job("later")
        assert told["estimate"]["finish"] is not None


async def test_a_preview_tells_whose_agents_would_be_others(quiet: Stage) -> None:
    async with quiet.window() as page:
        await page.locator('#rows tr[data-path="/a"] .text').click()
        await page.get_by_label("Weight").fill("30")
        await page.get_by_role("button", name="Preview").click()
        rows = page.locator("#preview tbody tr")
        await expect(rows).to_have_count(2)
        cells = [await row.locator("td").all_inner_texts() for row in await rows.all()]
        assert cells == [["/a", "2", "3 +1"], ["/b", "2", "1 -1"]]
        await page.get_by_label("Weight").fill("10")
        await page.get_by_role("button", name="Preview").click()
        await expect(page.locator("#preview")).to_contain_text("Nobody's share changes")
    assert (await quiet.farm.get(f"/jobqueues/{quiet.farm.queues['/a']}"))["weight"] == 10
