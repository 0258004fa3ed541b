"""The disk under PostgreSQL is full: that of its data, and that of its log of writes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos import invariants
from tests.chaos.clients import PATIENCE_SECONDS, client
from tests.chaos.crew import Call, crew
from tests.chaos.small_disk import MB, Disk, small_disk
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import enlist, finish

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

PATHS = ("/assign", "/jobs")
REFUSED = 5  # calls of each of these, before there is room again
BULKY = 100_000  # bytes, of a kind that does not shrink

# What nobody reads keeps the log of writes from being cleared: the usual way to fill its disk.
STUCK = "SELECT pg_create_physical_replication_slot('stuck', true)"
LOOSE = "SELECT pg_drop_replication_slot('stuck')"


def refused(on: Stage) -> Counter[str]:
    return Counter(call.path for call in on.ledger.calls if call.status == 503)


async def submit(on: Stage, over: asyncio.Event) -> None:
    """Jobs that take room, one after the other."""
    async with client(on.urls[1]) as http:
        while not over.is_set():
            data = on.chance.randbytes(BULKY).hex()
            body = {"title": "bulky", "frames": "1-3", "requeue": -1, "data": data}
            await on.ledger.post(http, "/jobs", body)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def in_want_of_room(on: Stage) -> AsyncIterator[None]:
    """Agents work and jobs come until calls of each kind were refused; then all goes on."""
    ids = await enlist(on, 12)
    for number in range(4):
        await on.farm.job(f"shot {number}", tasks=2_000, batch=2, requeue=-1)
    over = asyncio.Event()
    working = crew(
        ids, on.urls, on.ledger, on.chance, effort=0.05, patience=PATIENCE_SECONDS
    )  # every call must have its answer, on a machine that is slow too
    async with working as at_work:
        submitting = asyncio.create_task(submit(on, over))
        while any(refused(on)[path] < REFUSED for path in PATHS):
            at_work.check()
            await asyncio.sleep(0.05)
        over.set()
        await submitting
        yield
        await on.until_ready()
        for number in range(4):
            await on.farm.set_job(f"shot {number}", maximum_agents=0)
        await at_work.finish()
    await on.farm.job("after", tasks=20)
    for call in on.ledger.calls:
        if not call.given_up:
            must_be_fair(call)
    for number in range(4):
        await on.farm.client.delete(f"/jobs/{on.farm.jobs[f'shot {number}']}")
    await finish(on, ids)
    await invariants.hold(on)


def must_be_fair(call: Call) -> None:
    """A success, or word that it may be one later, and when to ask."""
    assert call.status in {200, 201, 204, 503}, call
    if call.status == 503:
        assert call.headers["content-type"] == "application/problem+json"
        assert 1 <= int(call.headers["retry-after"]) <= 5


async def test_a_full_disk_refuses_calls_and_loses_nothing_and_is_got_over_once_there_is_room(
    stage: Maker,
) -> None:
    with small_disk(stage.home / "disk", 160 * MB) as disk:
        data, wal = disk.path / "data", stage.home / "wal"
        async with stage(data=data, wal=wal, lease_seconds=30) as on:
            await fill(disk, 2 * MB)
            async with in_want_of_room(on):
                assert disk.free() < MB
                assert on.postgres.is_up()
                disk.free_some()


async def test_a_server_that_stops_for_want_of_room_in_its_log_loses_nothing_that_was_told(
    stage: Maker,
) -> None:
    with small_disk(stage.home / "disk", 160 * MB) as disk:
        async with stage(wal=disk.path / "wal", lease_seconds=30) as on:
            await on.postgres.fetch(STUCK)
            await fill(disk, 20 * MB)
            async with in_want_of_room(on):
                assert "PANIC" in (on.postgres.data / "log").read_text()
                disk.free_some()
                if not on.postgres.is_up():
                    on.postgres.start()
                await on.until_ready()
                await on.postgres.fetch(LOOSE)


async def fill(disk: Disk, leave: int) -> None:
    await asyncio.to_thread(disk.fill, leave)
