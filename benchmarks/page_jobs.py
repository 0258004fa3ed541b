"""50 watch the list of jobs while agents work: what that takes from the agents."""

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter
from urllib.parse import urlsplit

import httpx
import psutil
import uvloop

from benchmarks.agents import Agents, Sample
from benchmarks.client import TOKEN
from benchmarks.farm import Shape, build
from benchmarks.figures import Figure, ratio
from benchmarks.stage import Stage

WORKING, ROUNDS = 16, 2
# As the page's script does: rows are loaded anew where the list is another one, and now and then.
CALM_SECONDS, EVERY_SECONDS = 2, 30
ROWS = {"HX-Request": "true"}


class _Viewers:
    """Each watches the stream of jobs and loads the rows anew as the page would."""

    def __init__(self, url: str, browser: httpx.AsyncClient, mark: str) -> None:
        self._at, self._browser, self._mark = urlsplit(url), browser, mark
        self.bytes = self.loads = 0

    async def watch(self, number: int, of: int) -> None:
        reader, writer = await asyncio.open_connection(
            self._at.hostname, self._at.port, limit=2**24
        )
        cookie = self._browser.cookies["farmqueue_session"]
        asked = f"GET /page/live/jobs?since={self._mark} HTTP/1.1\r\nHost: {self._at.netloc}\r\n"
        writer.write(f"{asked}Cookie: farmqueue_session={cookie}\r\n\r\n".encode())
        loaded = perf_counter() - EVERY_SECONDS * number / of
        while line := await reader.readline():
            self.bytes += len(line)
            wait = EVERY_SECONDS
            if line.startswith(b"data: ") and {"new", "gone"} & json.loads(line[6:]).keys():
                wait = CALM_SECONDS
            if perf_counter() - loaded > wait:
                loaded = perf_counter()
                answer = await self._browser.get("/page/jobs", headers=ROWS)
                answer.raise_for_status()
                self.loads += 1
        writer.close()


def run(stage: Stage, shape: Shape, viewers: int) -> list[Figure]:
    database = stage.database()
    agent_ids = uvloop.run(build(database, shape, WORKING))
    with stage.service(database, queue_metrics=False) as service:
        seconds = stage.options.length(10)
        return uvloop.run(_measure(service.url, service.pid, agent_ids, viewers, seconds))


async def _measure(
    url: str, pid: int, agent_ids: Sequence[str], viewers: int, seconds: float
) -> list[Figure]:
    process = psutil.Process(pid)
    agents = await Agents.connect([url], agent_ids)
    await agents.loop(seconds / 4)  # to warm up
    alone: list[tuple[Sample, float]] = []
    watched: list[tuple[Sample, float]] = []
    limits = httpx.Limits(max_connections=viewers)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as browser:
        await browser.post("/page/login", data={"token": TOKEN}, headers={"Origin": url})
        rows = await browser.get("/page/jobs", headers=ROWS)
        for _ in range(ROUNDS):
            alone.append(await _loop(agents, process, seconds))
            page = (await browser.get("/page/jobs")).text
            crowd = _Viewers(url, browser, page.partition('data-since="')[2].partition('"')[0])
            watching = [
                asyncio.create_task(crowd.watch(number, viewers)) for number in range(viewers)
            ]
            await asyncio.sleep(1)
            watched.append(await _loop(agents, process, seconds))
            for one in watching:
                one.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
    agents.close()
    return _figures(alone, watched, crowd, len(rows.content), viewers, seconds)


async def _loop(agents: Agents, process: psutil.Process, seconds: float) -> tuple[Sample, float]:
    """What the agents got, and the service's processor time for each assignment."""
    before = sum(process.cpu_times()[:2])
    sample = await agents.loop(seconds)
    spent = sum(process.cpu_times()[:2]) - before
    return sample, spent / max(1, len(sample.latencies))


def _figures(
    alone: Sequence[tuple[Sample, float]],
    watched: Sequence[tuple[Sample, float]],
    crowd: _Viewers,
    size: int,
    viewers: int,
    seconds: float,
) -> list[Figure]:
    def mean(of: Sequence[tuple[Sample, float]]) -> float:
        return sum(sample.per_second for sample, _ in of) / len(of)

    def cost(of: Sequence[tuple[Sample, float]]) -> float:
        return sum(spent for _, spent in of) / len(of) * 1_000_000

    p99 = [max(sample.ms(99) or 0 for sample, _ in of) for of in (alone, watched)]
    who = "jobs page"
    return [
        Figure(f"{who}: assignments, nobody watches", mean(alone), "/s"),
        Figure(f"{who}: assignments, {viewers} watch", mean(watched), "/s"),
        Figure(f"{who}: watched to not", ratio(mean(watched), mean(alone))),
        Figure(f"{who}: processor of one, nobody watches", cost(alone), "µs"),
        Figure(f"{who}: processor of one, {viewers} watch", cost(watched), "µs"),
        Figure(f"{who}: p99 of a poll, without and with", p99, "ms"),
        Figure(f"{who}: sent to each viewer", crowd.bytes / viewers / seconds / 1_000, "kB/s"),
        Figure(f"{who}: rows, size", size / 1_000, "kB"),
        Figure(f"{who}: rows loaded anew", crowd.loads, ""),
    ]
