"""Clocks of services and of agents are an hour ahead, or behind: leases go by the database's."""

import asyncio
import sys
import time
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.clocks import shifted
from tests.chaos.crew import crew
from tests.chaos.stage import Maker, Replica, Stage
from tests.chaos.test_first_five import agent_process, enlist, finish

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

HOUR = 3_600
LEASE = 2
LATE = timedelta(seconds=60)  # a slow machine may be late, by far less than the clock is wrong
ONE_TASK = 3 * LEASE  # seconds

NOW = "SELECT clock_timestamp() AS now"
# It takes longer than a lease, and writes down what time it is by its own clock. Not by
# `time.sleep`, which the library knows nothing of where it leaves the other clock alone.
WORK = """
import select, sys, time
select.select([], [], [], float(sys.argv[2]))
print(time.time(), file=open(sys.argv[1], "a"))
"""


async def hours_ahead(replica: Replica) -> int:
    """Of the service's clock, by what it says in its answers."""
    async with client(replica.url) as http:
        told = parsedate_to_datetime((await http.get("/healthz")).headers["date"])
    return round((told.timestamp() - time.time()) / HOUR)


async def lease_end(on: Stage, replica: Replica, agent: str) -> datetime:
    """When the lease that a poll brings ends, which must be a lease from now by the database."""
    [before] = await on.postgres.fetch(NOW)
    async with client(replica.url) as http:
        held = (await on.ledger.post(http, "/assign", {"agent_id": agent, "wait": 20})).answer
        beat = await http.post(f"/agents/{agent}/heartbeat", json={})
    [after] = await on.postgres.fetch(NOW)
    assert held is not None
    ends = datetime.fromisoformat(beat.json()["lease_expires_at"])
    lease = timedelta(seconds=LEASE)
    assert before["now"] + lease <= ends <= after["now"] + lease
    return ends


async def test_services_an_hour_ahead_and_behind_end_each_lease_at_its_time(stage: Maker) -> None:
    async with stage(environs=[shifted(1), shifted(-1)], lease_seconds=LEASE) as on:
        assert [await hours_ahead(replica) for replica in on.replicas] == [1, -1]
        ids = await enlist(on, 8)
        await on.farm.job("shot", tasks=8, requeue=-1)
        async with crew(ids, on.urls, on.ledger, on.chance, effort=3 * LEASE) as at_work:
            await asyncio.sleep(3 * LEASE)
            at_work.check()
            await at_work.finish()
        ended = await invariants.made(on, "assignment.ended")
        assert ended == []
        await finish(on, ids)
        await on.farm.job("left", tasks=2, requeue=-1)
        ends = {
            agent: await lease_end(on, replica, agent)
            for agent, replica in zip(ids, on.replicas, strict=False)
        }
        while len(lost := await invariants.made(on, "assignment.ended")) < len(ends):
            await asyncio.sleep(0.1)
        for row in lost:
            assert row["detail"]["because"] == "lease_lost"
            assert ends[row["agent_id"]] <= row["at"] < ends[row["agent_id"]] + LATE
        await finish(on, ids)
        await invariants.hold(on)


async def test_agents_an_hour_ahead_and_behind_keep_their_leases_and_do_their_work(
    stage: Maker, tmp_path: Path
) -> None:
    async with stage(replicas=1, lease_seconds=LEASE) as on:
        times = tmp_path / "times"
        command = [sys.executable, "-c", WORK, str(times), str(ONE_TASK)]
        await on.farm.job("shot", tasks=4, data={"command": command})
        token = (await on.farm.post("/tokens", {"role": "join", "name": "nodes"}))["token"]
        for name, hours in (("ahead", 1), ("behind", -1)):
            (tmp_path / name).mkdir()
            log = tmp_path / f"{name}.log"
            done = len(times.read_text().splitlines()) if times.exists() else 0
            with agent_process(on.urls[0], token, tmp_path / name, log, shifted(hours)) as process:
                while not times.exists() or len(times.read_text().splitlines()) < done + 2:
                    await asyncio.sleep(0.1)
                process.terminate()
                while process.poll() is None:  # its goodbye comes through this process
                    await asyncio.sleep(0.1)
            clocks = [float(line) for line in times.read_text().splitlines()[done : done + 2]]
            assert {round((clock - time.time()) / HOUR) for clock in clocks} == {hours}
        ended = await invariants.made(on, "assignment.ended")
        assert "lease_lost" not in {row["detail"]["because"] for row in ended}
        await finish(on, await enlist(on, 1))
        await invariants.hold(on)
