"""Other sessions keep a snapshot and a transaction open for long, while the farm works."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from app.scheduler import feed
from tests.chaos import invariants
from tests.chaos.clients import PATIENCE_SECONDS
from tests.chaos.crew import crew
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import enlist, finish

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

CHANGES = 300  # in the feed, since the sessions began
NEWS = 50  # rows at most of a read that follows the last change at once

# A feed of so many more, so that a read of all of it is never the cheapest.
MANY = """
INSERT INTO farm_changes (xid, jobs)
SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint), ARRAY[CAST($1 AS bigint)]
FROM generate_series(1, 20000)
"""

COUNT = "SELECT count(*) AS n FROM farm_changes"
OLDEST = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS xid"


@asynccontextmanager
async def held_open(on: Stage) -> AsyncIterator[None]:
    """A snapshot, which keeps what became old, and a writer, which keeps the feed."""
    reader, writer = [await asyncpg.connect(on.postgres.url) for _ in range(2)]
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM agents")
    await writer.execute("BEGIN; SELECT pg_current_xact_id()")
    yield
    for session in (reader, writer):
        await session.execute("ROLLBACK")
        await session.close()


def scanned(plan: dict[str, Any]) -> int:
    """Rows of the feed that were looked at."""
    own = 0
    if plan.get("Relation Name") == "farm_changes":
        dropped = plan.get("Rows Removed by Filter", 0)
        dropped += plan.get("Rows Removed by Index Recheck", 0)
        own = int((plan["Actual Rows"] + dropped) * plan["Actual Loops"])
    return own + sum(map(scanned, plan.get("Plans", [])))


async def rows_of_a_read(on: Stage) -> int:
    """What a service that read a moment ago looks at now, by its own statement."""
    connection = await asyncpg.connect(on.postgres.url)
    last = await feed.start(connection)
    await on.farm.job("one more", tasks=1)
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {feed.READ}"
    found = await connection.fetchval(explain, last.end, last.under_way, last.own)
    await connection.close()
    return scanned(json.loads(found)[0]["Plan"])


async def test_while_a_snapshot_is_held_no_read_of_the_feed_has_more_to_look_at(
    stage: Maker,
) -> None:
    async with stage(lock_timeout_seconds=60) as on:
        ids = await enlist(on, 24)
        await on.farm.job("shot", tasks=100_000, requeue=-1)
        working = crew(ids, on.urls, on.ledger, on.chance, effort=0, patience=PATIENCE_SECONDS)
        async with held_open(on), working as at_work:
            [began] = await on.postgres.fetch(OLDEST)
            while (await on.postgres.fetch(COUNT))[0]["n"] < CHANGES:
                at_work.check()
                await asyncio.sleep(0.2)
            await on.farm.set_job("shot", maximum_agents=0)
            await at_work.finish()
            assert await on.postgres.fetch(OLDEST) == [began]
            await on.postgres.fetch(MANY, on.farm.jobs["shot"])
            await on.postgres.fetch("ANALYZE farm_changes")
            assert 1 <= await rows_of_a_read(on) <= NEWS
        assert on.ledger.statuses() <= {200, 204}
        await on.farm.client.delete(f"/jobs/{on.farm.jobs['shot']}")
        await finish(on, ids)
        await invariants.hold(on)
