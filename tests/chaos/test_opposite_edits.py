"""The tree is edited in opposite order by two services, and by a session that has no farm lock."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from app.db.driver import FARM_LOCK
from tests.chaos import invariants
from tests.chaos.clients import PATIENCE_SECONDS, client
from tests.chaos.crew import crew
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import enlist
from tests.farm import Farm

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

# The server looks for deadlocks soon; the session beside never does, and is never the one to go.
OPTIONS = ("deadlock_timeout=50ms",)
NEVER = "SET deadlock_timeout = '1h'; SET lock_timeout = 0"
MET = 3  # deadlocks
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"

# A script of an operator's: rows first, then what keeps the scheduler out.
ROW = "UPDATE jobqueues SET weight = weight WHERE name = $1"
LOCK = f"SELECT pg_advisory_xact_lock({FARM_LOCK})"


async def edit(on: Stage, at: str, names: Sequence[str], over: asyncio.Event) -> None:
    """Limits of queues and what hangs below them, each in this order, again and again."""
    async with client(at) as http:
        farm = Farm(http, on.farm.queues)
        while not over.is_set():
            for name in names:
                limit = on.chance.randint(1, 4)
                await farm.set_queue(f"/{name}", maximum_agents=limit)
                await farm.set_queue("/a/in", parent_jobqueue_id=farm.queues[f"/{name}"])


async def meddle(on: Stage, names: Sequence[str]) -> None:
    """The same rows in one transaction, the lock last, until services lost often enough."""
    session = await asyncpg.connect(on.postgres.url)
    await session.execute(NEVER)
    while (await on.postgres.fetch(DEADLOCKS))[0]["deadlocks"] < MET:
        async with session.transaction():
            for name in names:
                await session.execute(ROW, name)
                await asyncio.sleep(0.02)
            await session.execute(LOCK)
        await asyncio.sleep(on.chance.uniform(0.3, 0.6))
    await session.close()


async def test_of_edits_in_opposite_order_no_client_ever_hears_of_a_deadlock(stage: Maker) -> None:
    async with stage(options=OPTIONS, lock_timeout_seconds=60) as on:
        ids = await enlist(on, 8)
        for name in ("/a", "/b", "/a/in"):
            await on.farm.queue(name, maximum_agents=4)
        await on.farm.job("shot", tasks=10_000, queue="/a/in", requeue=-1)
        over = asyncio.Event()
        working = crew(ids, on.urls, on.ledger, on.chance, effort=0.02, patience=PATIENCE_SECONDS)
        async with working as at_work:
            editing = [
                asyncio.create_task(edit(on, on.urls[0], ("a", "b"), over)),
                asyncio.create_task(edit(on, on.urls[1], ("b", "a"), over)),
            ]
            meddling = asyncio.create_task(meddle(on, ("b", "a")))
            await asyncio.wait({*editing, meddling}, return_when=asyncio.FIRST_COMPLETED)
            over.set()
            await asyncio.gather(*editing)  # each edit was answered by a success
            await meddling
            at_work.check()
            await on.farm.set_job("shot", maximum_agents=0)
            await at_work.finish()
        assert on.ledger.statuses() <= {200, 204}
        assert await invariants.hold(on) > 0
        assert await invariants.active(on) == []
