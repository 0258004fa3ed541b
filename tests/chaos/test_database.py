"""The database goes away, is killed, loses words on the way, and comes back."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.crew import Crew, crew
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import enlist, finish
from tests.farm import Json

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

BACK_SECONDS = 5
LEASE = 2
ROUNDS = 3

# Whoever waits for the log waits for a tenth of a second, and hardly anything else has it written:
# what was not waited for is lost with the server.
SLOW_LOG = (
    *("commit_delay=100000", "commit_siblings=0", "wal_writer_delay=10s"),
    *("autovacuum=off", "bgwriter_lru_maxpages=0"),
)

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'farmqueue'"


async def edit(on: Stage, over: asyncio.Event) -> None:
    """An operator's queues and agents, made meanwhile at the doors in turn: each new, each once."""
    async with AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(client(url, timeout=10)) for url in on.urls]
        for number in itertools.count():
            if over.is_set():
                return
            for path, body in (
                ("/jobqueues", {"name": f"made-{number}"}),
                ("/agents", {"hostname": f"late-{number}"}),
            ):
                call = await on.ledger.post(doors[number % len(doors)], path, body)
                assert call.status in {None, 201, 503}, call
            await asyncio.sleep(0.3)


@asynccontextmanager
async def at_work(
    on: Stage, agents: int = 24, effort: float = 0.1, tasks: int = 60, *, forgiving: bool = False
) -> AsyncIterator[Crew]:
    """Agents with much to do, and an operator; at the end all is done and everything holds."""
    ids = await enlist(on, agents)
    for number in range(8):
        await on.farm.job(f"shot {number}", tasks=tasks, batch=3, requeue=-1)
    over = asyncio.Event()
    async with (
        asyncio.TaskGroup() as group,
        crew(ids, on.urls, on.ledger, on.chance, effort=effort, forgiving=forgiving) as working,
    ):
        group.create_task(edit(on, over))
        yield working
        while not await invariants.all_done(on):
            working.check()
            await asyncio.sleep(0.1)
        over.set()
        await working.finish()
    await invariants.hold(on)


async def test_a_database_away_for_twice_the_lease_takes_no_work_from_who_lived(
    stage: Maker,
) -> None:
    async with stage(lease_seconds=LEASE, lock_timeout_seconds=1) as on:
        ids = await enlist(on, 12)
        await on.farm.job("shot", tasks=12, requeue=-1)
        async with crew(ids, on.urls, on.ledger, on.chance, effort=8 * LEASE) as working:
            while any(agent.held is None for agent in working.agents):
                await asyncio.sleep(0.05)
            held = {agent.id: agent.held for agent in working.agents}
            await asyncio.sleep(LEASE + 1)  # the reaper trusts its silence by now
            on.postgres.stop("immediate")
            await asyncio.sleep(2 * LEASE)
            assert {agent.id: agent.held for agent in working.agents} == held
            on.postgres.start()
            await on.until_ready()
            await asyncio.sleep(2 * LEASE)
            assert await invariants.made(on, "assignment.ended") == []
            await working.finish()
        await finish(on, ids)  # what failed
        await invariants.hold(on)


async def test_what_was_acknowledged_survives_a_server_that_is_killed(stage: Maker) -> None:
    async with stage() as on, at_work(on):
        for _ in range(2):
            await asyncio.sleep(on.chance.uniform(0.3, 1.5))
            on.postgres.stop("immediate")
            await asyncio.sleep(on.chance.uniform(0, 1))
            on.postgres.start()
            assert await on.until_ready() < BACK_SECONDS


async def hurry(on: Stage, agent_id: str) -> None:
    """Ask and report as fast as it goes, with no sign of life between, until a call fails."""
    body: Json = {"agent_id": agent_id}
    async with client(on.urls[0]) as http:
        while True:
            call = await on.ledger.post(http, "/assign", body)
            if call.answer is None or call.status != httpx.codes.OK:
                return
            results = [{"task_id": task["id"], "state": "done"} for task in call.answer["tasks"]]
            body = body | {"results": results, "assignment_id": call.answer["id"]}


async def test_what_was_acknowledged_in_the_moment_before_a_server_was_killed_is_there(
    stage: Maker,
) -> None:
    async with stage(replicas=1, options=SLOW_LOG, reap_seconds=60, lease_seconds=60) as on:
        ids = await enlist(on, 8)
        await on.farm.job("shot", tasks=100_000)
        for _ in range(ROUNDS):
            hurrying = asyncio.gather(*(hurry(on, agent_id) for agent_id in ids))
            await asyncio.sleep(on.chance.uniform(0.5, 1))
            await asyncio.to_thread(on.postgres.stop, "immediate")
            await hurrying
            on.postgres.start()
            await on.until_ready()
        assert sum(call.accepted for call in on.ledger.calls) > ROUNDS * len(ids)
        await on.farm.client.delete(f"/jobs/{on.farm.jobs['shot']}")
        await invariants.hold(on)


async def test_a_lost_reply_to_commit_is_resolved_from_the_database(stage: Maker) -> None:
    async with stage() as on, at_work(on):
        for _ in range(6):
            way = on.chance.choice(on.replicas).database
            lost = way.lost
            way.lose_answers(on.chance.choice([b"COMMIT", b"pg_logical_emit_message"]))
            while way.lost == lost and not await invariants.all_done(on):
                await asyncio.sleep(0.02)
        assert sum(replica.database.lost for replica in on.replicas) > 0
        on.heal()


async def test_a_submission_whose_commit_was_not_heard_of_is_the_same_job_again(
    stage: Maker,
) -> None:
    async with stage(replicas=1) as on, client(on.urls[0]) as http:
        key = {"Idempotency-Key": "once"}
        body = {"title": "shot", "frames": "1"}
        first = None
        way = on.replicas[0].database
        way.lose_answers(b"COMMIT", times=1_000)
        while first is None or first.status == 201:
            first = await on.ledger.post(http, "/jobs", body, **key)
        assert first.status == 503
        way.heal()
        again = await on.ledger.post(http, "/jobs", body, **key)
        assert again.status == 201
        assert len(await on.postgres.fetch("SELECT id FROM jobs")) == 1
        on.heal()
        await invariants.hold(on)


async def test_backends_that_are_terminated_or_killed_come_back_within_seconds(
    stage: Maker,
) -> None:
    async with stage() as on, at_work(on):
        await asyncio.sleep(on.chance.uniform(0.3, 1))
        await on.postgres.fetch(BACKENDS.replace("pid", "pg_terminate_backend(pid)", 1))
        assert await on.until_ready() < BACK_SECONDS
        await asyncio.sleep(on.chance.uniform(0.3, 1))
        victim = on.chance.choice(await on.postgres.fetch(BACKENDS))
        on.postgres.kill_backend(victim["pid"])
        assert await on.until_ready() < BACK_SECONDS
