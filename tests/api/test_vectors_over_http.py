"""The scenarios, against a real service over a real socket."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conftest import execute, fresh_database
from tests.farm import Farm
from tests.processes import TLS, service
from tests.tokens import AUTH
from tests.vectors import Changes, Scenario, play, scenarios


class HttpFarm:
    """A scenario's farm, built and played over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.farm = Farm(client)

    async def build(self, scenario: Scenario) -> None:
        for queue in scenario.queues:
            place = {key: value for key, value in queue.items() if key not in {"name", "parent"}}
            await self.farm.queue(f"{queue.get('parent') or ''}/{queue['name']}", **place)
        for job in scenario.jobs:
            fields: dict[str, Any] = {
                key: value for key, value in job.items() if key not in {"title", "parents"}
            }
            parents = [self.farm.jobs[title] for title in job.get("parents", [])]
            await self.farm.job(job["title"], parents=parents, **fields)
        for agent in scenario.agents:
            await self.farm.agent(**agent)

    async def assign(self, hostname: str) -> str | None:
        return await self.farm.gets(hostname)

    async def finish(self, hostname: str) -> None:
        await self.farm.finish(hostname)

    async def set_queue(self, fullpath: str, changes: Changes) -> None:
        await self.farm.set_queue(fullpath, **changes)

    async def set_job(self, title: str, changes: Changes) -> None:
        await self.farm.set_job(title, **changes)


@pytest.fixture(scope="module")
async def shared(
    server: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, str]]:
    """URLs of a database and of the one service that plays every scenario on it."""
    log = tmp_path_factory.mktemp("service") / "log"
    async with fresh_database(server) as database:
        with service(database, log, lease_seconds=3600) as url:
            yield database, url


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
async def test_a_scenario_has_its_expected_picks(
    shared: tuple[str, str], scenario: Scenario
) -> None:
    database, url = shared
    await execute(
        database,
        "TRUNCATE jobqueues, jobs, agents, assignments, tasks, job_dependencies, job_progress"
        " RESTART IDENTITY",
    )
    async with httpx.AsyncClient(headers=AUTH, base_url=url, timeout=60, verify=TLS) as client:
        await play(scenario, HttpFarm(client))
