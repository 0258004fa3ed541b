"""A standby is promoted while the former primary still takes writes: no answer is of both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg
import httpx
import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.crew import Call, Ledger
from tests.chaos.postgres import Postgres
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_database import at_work
from tests.upgrades.servers import standby

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

OURS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'farmqueue' AND "
TERMINATE = "SELECT pg_terminate_backend(pid, 5000) FROM unnest(CAST($1 AS int[])) AS o(pid)"
WAITS = "query LIKE '%pg_logical_emit_message%'"
READS = "query LIKE '%RECURSIVE tree%' AND wait_event_type = 'Lock'"
SOME = 24  # answers with work, or to reports
LATEST = "SELECT coalesce(max(id), 0) AS id FROM assignments"


@dataclass
class Two:
    """The services, and both servers that they know of."""

    on: Stage
    former: Postgres
    promoted: Postgres

    async def promote(self) -> None:
        """And let the former one go on alone for a moment."""
        await asyncio.to_thread(self.promoted._control, "promote", "-w")
        await asyncio.sleep(1)
        assert await self.former.fetch(LATEST) != await self.promoted.fetch(LATEST)

    async def cut(self, which: str) -> None:
        """End such connections to the former one."""
        await self.former.fetch(TERMINATE, await ours(self.former, which))

    def close(self) -> None:
        """The former one takes no new connections, and keeps those that there are."""
        self.on.replicas[0].database.refuses = True

    async def found(self, server: Postgres, which: str) -> None:
        """Each service has such a connection there."""
        while len(await ours(server, which)) < len(self.on.replicas):
            await asyncio.sleep(0.05)


async def ours(server: Postgres, which: str) -> list[int]:
    return [row["pid"] for row in await server.fetch(OURS + which)]


@asynccontextmanager
async def locked(server: Postgres, table: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(server.url)
    async with connection.transaction():
        await connection.execute(f"LOCK TABLE {table}")
        yield
    await connection.close()


async def the_wait_is_cut(two: Two) -> None:
    two.close()
    await two.cut(WAITS)


async def all_but_the_wait_is_cut(two: Two) -> None:
    two.close()
    await two.cut(f"NOT {WAITS}")


async def it_closes_while_services_that_start_read_the_farm(two: Two) -> None:
    """Cycles have their connection to the former one by then, and the wait comes later."""
    for replica in two.on.replicas:
        await replica.end()
    async with locked(two.former, "jobqueues"):
        for replica in two.on.replicas:
            await replica.start()
        await two.found(two.former, READS)
        two.close()
        await two.cut(f"NOT ({READS})")


@asynccontextmanager
async def two_servers(stage: Maker, hosts: list[int]) -> AsyncIterator[Two]:
    async with stage(lock_timeout_seconds=30) as on:
        former = on.postgres
        follower = await standby(former, stage.home / "standby")
        hosts += [on.replicas[0].database.port, follower.port]
        try:
            for replica in on.replicas:
                await replica.end()
                await replica.start()
            yield Two(on, former, follower)
        finally:
            for replica in on.replicas:
                replica.kill()
            on.postgres = former
            follower.stop("immediate")


async def each_decides(on: Stage) -> None:
    """Each service has a cycle whose answer goes out."""
    body = {"agent_id": on.farm.agents["onlooker"]}
    for url in on.urls:
        async with asyncio.timeout(90), client(url) as http:
            while (await http.post("/assign", json=body)).status_code != httpx.codes.NO_CONTENT:
                await asyncio.sleep(0.1)


async def what_agents_heard_is_kept(on: Stage) -> None:
    """Of some work that went out by now; at the end it is all."""
    while sum(call.status == httpx.codes.OK for call in of_agents(on.ledger.calls)) < SOME:
        await asyncio.sleep(0.05)
    heard = [call for call in of_agents(on.ledger.calls) if call.accepted]
    await invariants.every_promise_is_kept(replace(on, ledger=Ledger(heard)))


def of_agents(calls: Collection[Call]) -> list[Call]:
    return [call for call in calls if call.path.startswith("/assign")]


WAYS = (
    the_wait_is_cut,
    all_but_the_wait_is_cut,
    it_closes_while_services_that_start_read_the_farm,
)


@pytest.mark.parametrize("lead_over", WAYS, ids=lambda way: way.__name__)
async def test_what_is_answered_after_a_failover_is_on_one_server_though_both_live(
    stage: Maker, hosts: list[int], lead_over: Callable[[Two], Awaitable[None]]
) -> None:
    """At the end every call in the ledger is compared with the server that was promoted."""
    async with two_servers(stage, hosts) as two:
        on, ledger = two.on, two.on.ledger
        await on.farm.agent("onlooker", ram=1)  # too small for any job
        async with at_work(on, tasks=250, forgiving=True) as working:
            await two.found(two.former, WAITS)
            await two.promote()
            await lead_over(two)
            ledger.calls.clear()  # what began before may be of the former one
            on.postgres = two.promoted
            await each_decides(on)
            # People's calls are of the one that their service met last, so they begin here.
            ledger.calls[:] = of_agents(ledger.calls)
            alone = await two.former.fetch(LATEST)
            await what_agents_heard_is_kept(on)
            working.check()
        assert await two.former.fetch(LATEST) == alone
        assert await ours(two.former, WAITS) == []
