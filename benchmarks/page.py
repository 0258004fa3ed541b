"""50 watch the queue tree of 2,000 queues and 5,000 jobs; how soon they see what was changed.

Then as many watch the list of jobs, while agents work.
"""

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from urllib.parse import urlsplit

import httpx
import psutil
import uvloop
from playwright.async_api import async_playwright

from app.db.driver import connect
from benchmarks import page_jobs
from benchmarks.client import TOKEN
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Stage

QUEUES, JOBS, AGENTS, VIEWERS = 2_000, 5_000, 1_000, 50
CHANGES_A_SECOND = 5
ROUNDS = 7
SETTLE_SECONDS = 8

# Ten to a queue, four levels deep.
_TREE = """
WITH first AS (SELECT min(id) AS id FROM jobqueues)
UPDATE jobqueues q SET parent_jobqueue_id = first.id + (q.id - first.id) / 10 - 1
FROM first WHERE q.id - first.id >= 10
"""
_PATHS = """
WITH RECURSIVE down (id, fullpath) AS (
    SELECT id, '/' || name FROM jobqueues WHERE parent_jobqueue_id IS NULL
    UNION ALL
    SELECT q.id, d.fullpath || '/' || q.name
    FROM jobqueues q JOIN down d ON q.parent_jobqueue_id = d.id
)
UPDATE jobqueues q SET fullpath = d.fullpath FROM down d WHERE q.id = d.id RETURNING q.id
"""


@dataclass
class _Seen:
    """When queues were paused, and how long after each viewer saw it."""

    paused: dict[int, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    bytes: int = 0


def run(stage: Stage) -> list[Figure]:
    database = stage.database()
    asyncio.run(build(database, Shape(QUEUES, JOBS, 100), AGENTS))
    queue_ids = asyncio.run(_hang(database))
    with stage.service(database, queue_metrics=False) as service:
        seconds = stage.options.length(20)
        figures = uvloop.run(_measure(service.url, service.pid, queue_ids, seconds))
    return figures + page_jobs.run(stage, Shape(QUEUES, JOBS, 100), VIEWERS)


async def _hang(database: str) -> list[int]:
    connection = await connect(database)
    await connection.execute(_TREE)
    rows = await connection.fetch(_PATHS)
    await connection.close()
    return [row["id"] for row in rows]


async def _measure(url: str, pid: int, queue_ids: Sequence[int], seconds: float) -> list[Figure]:
    process = psutil.Process(pid)
    async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
        here = {"Origin": url}
        await browser.post("/page/login", data={"token": TOKEN}, headers=here)
        pages = [await _page(browser) for _ in range(ROUNDS)]
        shown = await _shown(url)
        mark = pages[-1][2]
        cookie = browser.cookies["farmqueue_session"]
        seen = _Seen()
        alone = await _changes(url, queue_ids[-1000:], seconds / 2, process, _Seen())
        viewers = [asyncio.create_task(_watch(url, cookie, mark, seen)) for _ in range(VIEWERS)]
        await asyncio.sleep(SETTLE_SECONDS)  # until all watch, and entitlements are known
        watched = await _changes(url, queue_ids[-2000:-1000], seconds, process, seen)
        sent = seen.bytes
        await asyncio.sleep(2)
        for viewer in viewers:
            viewer.cancel()
        await asyncio.gather(*viewers, return_exceptions=True)
    expected = VIEWERS * int(seconds * CHANGES_A_SECOND)
    return [
        Figure("changes seen, of 100", 100 * len(seen.delays) / expected, "%", at_least=99),
        Figure("from the commit to the event: p50", percentile(seen.delays, 50, 1_000), "ms"),
        Figure(
            "from the commit to the event: p99",
            percentile(seen.delays, 99, 1_000),
            "ms",
            at_most=1_000,
        ),
        Figure("share of a core, changes alone", 100 * alone, "%"),
        Figure("share of a core that 50 viewers add", 100 * (watched - alone), "%", at_most=5),
        Figure("sent to each viewer", sent / VIEWERS / seconds / 1_000, "kB/s"),
        Figure(
            "first page and tree",
            percentile([took for took, *_ in pages], 50, 1_000),
            "ms",
            at_most=500,
        ),
        Figure("first page and tree, sent", pages[-1][1] / 1_000, "kB"),
        Figure(
            "drawn, live and answering keys in Chromium",
            percentile(shown, 50, 1_000),
            "ms",
            at_most=1_000,
        ),
    ]


async def _page(browser: httpx.AsyncClient) -> tuple[float, int, str]:
    """How long the first page and its tree take, what is sent of them, and their mark."""
    began = perf_counter()
    page, tree = await browser.get("/"), await browser.get("/page/queues/rows")
    took = perf_counter() - began
    told = tree.json()
    assert len(told["rows"]) > QUEUES, "the farm was not read yet"
    return took, page.num_bytes_downloaded + tree.num_bytes_downloaded, told["since"]


async def _shown(url: str) -> list[float]:
    """How long it takes from the address to a tree that is drawn, live and answers keys."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    took = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(url)
        await page.get_by_label("Token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_selector("#live.on")
        for _ in range(ROUNDS):
            began = perf_counter()
            await page.goto(url)
            await page.wait_for_selector("#live.on")
            await page.locator("#rows tr").first.focus()
            await page.keyboard.press("ArrowDown")
            await page.wait_for_selector("#rows tr:nth-child(2):focus")
            took.append(perf_counter() - began)
        await browser.close()
    return took


async def _changes(
    url: str, queue_ids: Sequence[int], seconds: float, process: psutil.Process, seen: _Seen
) -> float:
    """Pause one queue after the other; the share of a core that the service took."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    before = sum(process.cpu_times()[:2])
    began = perf_counter()
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as operator:
        for number in range(int(seconds * CHANGES_A_SECOND)):
            answer = await operator.patch(f"/jobqueues/{queue_ids[number]}", json={"paused": True})
            answer.raise_for_status()
            seen.paused[queue_ids[number]] = perf_counter()
            due = began + (number + 1) / CHANGES_A_SECOND
            await asyncio.sleep(max(0, due - perf_counter()))
    return (sum(process.cpu_times()[:2]) - before) / (perf_counter() - began)


async def _watch(url: str, cookie: str, mark: str, seen: _Seen) -> None:
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, limit=2**24)
    asked = f"GET /page/live/queues?since={mark} HTTP/1.1\r\nHost: {at.netloc}\r\n"
    writer.write(f"{asked}Cookie: farmqueue_session={cookie}\r\n\r\n".encode())
    had: set[int] = set()
    while line := await reader.readline():
        now = perf_counter()
        seen.bytes += len(line)
        if not line.startswith(b"data: "):
            continue
        for row in json.loads(line[6:]).get("rows", ()):
            if row[5] and row[0] in seen.paused and row[0] not in had:
                had.add(row[0])
                seen.delays.append(now - seen.paused[row[0]])
