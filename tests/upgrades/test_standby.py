"""A standby takes over: services find it by themselves, and nothing that was promised is lost."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from app.db.hosts import Hosts
from app.settings import Settings
from tests.chaos import invariants
from tests.chaos.postgres import Postgres
from tests.chaos.stage import Maker
from tests.chaos.test_database import at_work
from tests.tokens import AUTH
from tests.upgrades.servers import standby

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

# After it is promoted. A connection that says nothing is given up after `silent_seconds`, and
# people may have all of them in hand: those are given up together, and never one after the other.
LOCK_TIMEOUT = 4
SILENT_SECONDS = Settings(lock_timeout_seconds=LOCK_TIMEOUT).silent_seconds
BACK_SECONDS = {False: 20, True: 2 * SILENT_SECONDS}
SYNCHRONOUS = "ALTER SYSTEM SET synchronous_standby_names = '*'"
IN_STEP = "SELECT 1 FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')"
EPOCH = "SELECT epoch, timeline FROM farm_epoch"


@pytest.mark.parametrize("silent", [False, True], ids=["a dead server", "a machine that is gone"])
async def test_services_go_on_at_the_standby_that_was_promoted(
    stage: Maker, hosts: list[int], silent: bool, record_property: Any
) -> None:
    async with stage(lock_timeout_seconds=LOCK_TIMEOUT) as on:
        primary, [first, second] = on.postgres, on.replicas
        follower = await standby(primary, stage.home / "standby")
        try:
            await primary.fetch(SYNCHRONOUS)
            await primary.fetch("SELECT pg_reload_conf()")
            while not await primary.fetch(IN_STEP):
                await asyncio.sleep(0.1)
            hosts += [first.database.port, follower.port]
            for replica in on.replicas:
                await replica.end()
                await replica.start()
            async with at_work(on):
                await asyncio.sleep(1.5)
                await people_are_answered(on.urls)  # over as many connections as there may be
                if silent:
                    first.database.hole()
                else:
                    first.database.close()
                async with asyncio.TaskGroup() as group:
                    group.create_task(people_are_answered(on.urls))
                    primary.stop("immediate")
                    await asyncio.to_thread(follower._control, "promote", "-w")
                    on.postgres = follower
                    since = time.monotonic()
                    async with asyncio.timeout(90):
                        await on.until_ready()
                    took = time.monotonic() - since
                    print(f"ready {took:.2f} s after the promotion")  # noqa: T201
                    record_property("ready_seconds", took)
                    assert took < BACK_SECONDS[silent]
            [now] = await follower.fetch(EPOCH)
            assert now == {"epoch": 1, "timeline": "00000002"}
            because = {
                row["detail"]["because"] for row in await invariants.made(on, "assignment.ended")
            }
            assert "restored" not in because
        finally:
            for replica in (first, second):
                replica.kill()
            on.postgres = primary
            _stop(follower)


async def people_are_answered(urls: Sequence[str]) -> None:
    """More of them at once than a service has connections: each dead one is met, and given up."""
    async with asyncio.timeout(90), httpx.AsyncClient(headers=AUTH, timeout=90) as client:
        for url in urls:
            while {200} != {answer.status_code for answer in await _ask(client, url)}:
                await asyncio.sleep(0.1)


async def _ask(client: httpx.AsyncClient, url: str) -> list[httpx.Response]:
    return await asyncio.gather(*(client.get(f"{url}/jobs") for _ in range(12)))


def _stop(server: Postgres) -> None:
    if (server.data / "postmaster.pid").exists():
        server.stop("immediate")


def test_each_host_has_a_url_of_its_own() -> None:
    hosts = Hosts.of("postgresql://u:p@a:1,[::1]:2/db?target_session_attrs=read-write")
    assert hosts.urls == [
        "postgresql://u:p@a:1/db?target_session_attrs=read-write",
        "postgresql://u:p@[::1]:2/db?target_session_attrs=read-write",
    ]
    hosts.pass_by(0)
    hosts.pass_by(0)
    assert hosts.first == 1
    hosts.pass_by(1)
    assert hosts.first == 0


@pytest.mark.parametrize(
    "url", ["postgresql://a/db", "postgresql:///db?host=/run/postgresql", "postgresql://u:@/db"]
)
def test_one_host_is_one_url(url: str) -> None:
    assert Hosts.of(url).urls == [url]
