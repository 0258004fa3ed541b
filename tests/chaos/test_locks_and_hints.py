"""A table that is locked, and a connection for hints that dies without a word."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.stage import Maker, Replica, Stage
from tests.chaos.test_first_five import enlist, finish
from tests.tokens import bearer, made

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

LOCK_TIMEOUT = 1
FALL_BACK = 1.5
# A call may wait for a connection of the pool, or for the cycle before its own, and then itself.
LONGEST = 2 * LOCK_TIMEOUT + 2
NOBODY_WAITS_SECONDS = 20  # a slow machine is slower; who waits for the lock waits for ever
TABLES = """
SELECT relname AS name FROM pg_class
WHERE relnamespace = CAST('public' AS regnamespace) AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname
"""
# Some of whose calls cannot be served meanwhile.
NEEDED = {
    "agents",
    "assignments",
    "farm_changes",
    "history",
    "idempotency_keys",
    "job_progress",
} | {
    *("jobqueues", "jobs", "tasks", "tokens"),
}
CALLS = 30  # of each kind: more than the pool has connections
NOTICED_SECONDS = 25  # two heartbeats of the listener, and some


async def timed(http: httpx.AsyncClient, path: str, body: dict[str, object]) -> float:
    """Seconds until the call was refused for now."""
    since = time.monotonic()
    answer = await http.post(path, json=body)
    assert answer.status_code == 503, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    return time.monotonic() - since


async def test_while_a_table_is_locked_calls_are_refused_in_time_and_none_pile_up(
    stage: Maker,
) -> None:
    async with stage(lock_timeout_seconds=LOCK_TIMEOUT, lease_seconds=30) as on:
        ids = await enlist(on, CALLS)
        await on.farm.job("shot", tasks=CALLS)
        holder = await asyncpg.connect(on.postgres.url)
        async with client(on.urls[0]) as http, holder.transaction():
            await holder.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            submits = [timed(http, "/jobs", {"title": "x", "frames": "1"}) for _ in range(CALLS)]
            asks = [timed(http, "/assign", {"agent_id": agent}) for agent in ids]
            assert max(await asyncio.gather(*submits, *asks)) < LONGEST
        await holder.close()
        assert await on.until_ready() < LOCK_TIMEOUT
        since = time.monotonic()
        await on.farm.job("next")
        assert time.monotonic() - since < LOCK_TIMEOUT
        await finish(on, ids)
        await invariants.hold(on)


async def patient(call: Awaitable[httpx.Response]) -> int:
    async with asyncio.timeout(NOBODY_WAITS_SECONDS):
        answer = await call
    if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    return answer.status_code


async def ask_everything(http: httpx.AsyncClient, ids: Sequence[str], queue: int) -> Counter[int]:
    """All kinds of calls at once, for each of these agents; how many had which answer."""
    calls: list[Awaitable[httpx.Response]] = []
    for agent in ids:
        key = {"Idempotency-Key": uuid4().hex}
        calls += [
            http.post("/jobs", json={"title": "x", "frames": "1"}, headers=key),
            http.post("/assign", json={"agent_id": agent}),
            http.post(f"/agents/{agent}/heartbeat", json={}),
            http.patch(f"/jobqueues/{queue}", json={"weight": len(calls) + 1}),
            http.get("/jobs"),
            http.get("/agents"),
            http.get("/history"),
        ]
    return Counter(await asyncio.gather(*map(patient, calls)))


async def test_whatever_table_is_locked_nobody_waits_for_long_and_all_goes_on_after_it(
    stage: Maker,
) -> None:
    async with stage(lock_timeout_seconds=LOCK_TIMEOUT, lease_seconds=120) as on:
        ids = await enlist(on, 4)
        queue = (await on.farm.queue("/films"))["id"]
        await on.farm.job("shot", tasks=len(ids))
        tables = await on.postgres.fetch(TABLES)
        token = await made(on.farm.client, "operator")
        holder = await asyncpg.connect(on.postgres.url)
        refused = set()
        async with client(on.urls[0]) as http, client(on.urls[0]) as person:
            person.headers.update(bearer(token))
            for table in [row["name"] for row in tables]:
                async with holder.transaction():
                    await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                    told = await ask_everything(http, ids, queue)
                    told[await patient(person.get("/jobs"))] += 1
                assert told.keys() <= {200, 201, 204, 503}, (table, told)
                refused |= {table} if told[503] else set()
                await on.until_ready()
                while (await ask_everything(http, ids[:1], queue)).keys() - {200, 201, 204}:
                    await asyncio.sleep(0.1)
        await holder.close()
        assert refused >= NEEDED
        await finish(on, ids)
        await invariants.hold(on)


async def listening(stage: Stage, replica: Replica, value: int) -> None:
    """Until the metric says so."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while await stage.metric(replica, "farmqueue_listening") != value:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def submitted_and_given(stage: Stage, agent: str, url: str) -> float:
    """Seconds from a submission at one service to the answer of a poll that waits at the other."""
    async with client(url) as http:
        poll = asyncio.create_task(
            stage.ledger.post(http, "/assign", {"agent_id": agent, "wait": 60})
        )
        while not await stage.metric(stage.replicas[1], "farmqueue_waiting_polls"):
            await asyncio.sleep(0.02)
        since = time.monotonic()
        await stage.farm.job("shot")
        held = (await poll).answer
        assert held is not None
        took = time.monotonic() - since
        results = [{"task_id": task["id"], "state": "done"} for task in held["tasks"]]
        await stage.ledger.post(http, f"/assignments/{held['id']}/results", {"results": results})
    return took


async def test_where_hints_get_lost_without_a_word_the_fall_back_finds_work_and_a_metric_tells(
    stage: Maker,
) -> None:
    async with stage(fallback_poll_seconds=FALL_BACK) as on:
        [agent] = ids = await enlist(on, 1)
        deaf = on.replicas[1]
        await listening(on, deaf, 1)
        [link] = [link for link in deaf.database.links if b"LISTEN" in link.said]
        link.hole()
        assert await submitted_and_given(on, agent, deaf.door_url) < FALL_BACK + 1
        await listening(on, deaf, 0)
        await listening(on, deaf, 1)
        await finish(on, ids)
        await invariants.hold(on)
