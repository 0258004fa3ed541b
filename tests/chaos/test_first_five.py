"""Lost answers, frozen agents, the reaper against the last result, limits, polls that hang up."""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import httpx
import psutil
import pytest

from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.conftest import making
from tests.chaos.crew import Ledger, crew
from tests.chaos.stage import Stage
from tests.farm import Farm, Json

LEASE = 4  # seconds
ROUNDS = 8  # of polls that are cancelled
MADE = 30  # assignments under limits that change


@pytest.fixture(scope="module")
async def shared(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Two services that are hurt by one test after the other, and have to be whole after each."""
    logs, chance = tmp_path_factory.mktemp("shared"), random.Random()
    with making(cluster, chance, logs) as stage:
        async with stage(lease_seconds=LEASE, reap_seconds=0.05, lock_timeout_seconds=30) as made:
            yield made


@pytest.fixture
async def on(shared: Stage, chance: random.Random) -> AsyncIterator[Stage]:
    """The stage for one test, which tells what happened in it, and what its own clients heard."""
    [last] = await shared.postgres.fetch("SELECT coalesce(max(id), 0) AS id FROM history")
    for replica in shared.replicas:
        replica.door.lost = 0
    farm = Farm(shared.farm.client)
    yield replace(shared, farm=farm, chance=chance, ledger=Ledger(), since=last["id"])
    shared.heal()
    for job in await shared.postgres.fetch("SELECT id FROM jobs WHERE time_finished IS NULL"):
        await farm.client.delete(f"/jobs/{job['id']}")


async def enlist(stage: Stage, number: int) -> list[str]:
    """Agents that the farm knows."""
    return [(await stage.farm.agent(f"a{at}"))["id"] for at in range(number)]


async def finish(stage: Stage, ids: list[str], urls: list[str] | None = None) -> None:
    """Let agents do all that is left."""
    async with crew(ids, urls or stage.urls, stage.ledger, stage.chance) as at_work:
        while not await invariants.all_done(stage):
            at_work.check()
            await asyncio.sleep(0.1)
        await at_work.finish()


def done(held: Json) -> list[Json]:
    return [{"task_id": task["id"], "state": "done"} for task in held["tasks"]]


async def test_an_assignment_whose_answer_was_lost_is_given_again_and_counted_once(
    on: Stage,
) -> None:
    [agent, *_] = ids = await enlist(on, 2)
    await on.farm.job("shot", tasks=4, batch=2)
    door = on.replicas[0].door
    door.lose_answers(b"POST /assign")
    async with client(on.urls[0]) as one, client(on.urls[1]) as two:
        assert (await on.ledger.post(one, "/assign", {"agent_id": agent})).status is None
        assert door.lost == 1
        [row] = await invariants.made(on, "assignment.made")
        again = await on.ledger.post(two, "/assign", {"agent_id": agent})
    assert again.answer is not None
    assert again.answer["id"] == row["assignment_id"]
    assert (await on.farm.see_job("shot"))["assigned_agents"] == 1
    await finish(on, ids)
    await invariants.hold(on)


async def test_results_whose_answer_was_lost_are_counted_once(on: Stage) -> None:
    [agent, *_] = ids = await enlist(on, 2)
    await on.farm.job("shot", tasks=4, batch=2)
    door = on.replicas[0].door
    async with client(on.urls[0]) as one, client(on.urls[1]) as two:
        held = (await on.ledger.post(one, "/assign", {"agent_id": agent})).answer
        assert held is not None
        report = f"/assignments/{held['id']}/results", {"results": done(held)}
        door.lose_answers(b"/results")
        assert (await on.ledger.post(one, *report)).status is None
        assert (await on.farm.see_job("shot"))["tasks"]["done"] == 2
        assert (await on.ledger.post(two, *report)).status == 200
        asks = {"agent_id": agent, "results": done(held), "assignment_id": held["id"]}
        door.lose_answers(b"POST /assign")
        assert (await on.ledger.post(one, "/assign", asks)).status is None
        assert (await on.ledger.post(two, "/assign", asks)).status == 200
    assert door.lost == 2
    assert (await on.farm.see_job("shot"))["tasks"]["done"] == 2
    await finish(on, ids)
    await invariants.hold(on)


async def test_a_release_whose_answer_was_lost_is_of_the_old_work_only(on: Stage) -> None:
    [agent, *_] = ids = await enlist(on, 2)
    await on.farm.job("shot", tasks=2)
    door = on.replicas[0].door
    async with client(on.urls[0]) as http:
        held = (await on.ledger.post(http, "/assign", {"agent_id": agent})).answer
        assert held is not None
        release = f"/assignments/{held['id']}/release"
        door.lose_answers(b"/release")
        assert (await on.ledger.post(http, release, {})).status is None
        anew = (await on.ledger.post(http, "/assign", {"agent_id": agent})).answer
        assert anew is not None
        assert anew["id"] != held["id"]
        assert (await on.ledger.post(http, release, {})).status == 200
        kept = (await on.ledger.post(http, "/assign", {"agent_id": agent})).answer
        assert kept is not None
        assert kept["id"] == anew["id"]
    await finish(on, ids)
    await invariants.hold(on)


async def test_a_submission_whose_answer_was_lost_is_the_same_job_again(on: Stage) -> None:
    key = {"Idempotency-Key": f"{on.chance.random()}"}
    body = {"title": "shot", "frames": "1-4"}
    on.replicas[0].door.lose_answers(b"POST /jobs")
    async with client(on.urls[0]) as http:
        assert (await on.ledger.post(http, "/jobs", body, **key)).status is None
        again = await on.ledger.post(http, "/jobs", body, **key)
    assert again.status == 201
    assert again.answer is not None
    jobs = await invariants.made(on, "job.submitted")
    assert [job["job_id"] for job in jobs] == [again.answer["id"]]
    await invariants.hold(on)


async def test_a_crew_whose_answers_get_lost_at_random_does_each_task_once(on: Stage) -> None:
    ids = await enlist(on, 16)
    for number in range(4):
        await on.farm.job(f"shot {number}", tasks=30, batch=3, requeue=-1)
    for replica in on.replicas:
        replica.door.loses = lambda _: on.chance.random() < 0.2
    await finish(on, ids)
    assert sum(replica.door.lost for replica in on.replicas) > 0
    on.heal()
    await invariants.hold(on)
    assert await invariants.all_done(on)


async def test_the_work_of_an_agent_frozen_past_its_lease_goes_elsewhere_and_stays_there(
    on: Stage,
) -> None:
    frozen, other = ids = await enlist(on, 2)
    await on.farm.job("shot", tasks=1)
    async with client(on.urls[0]) as one, client(on.urls[1]) as two:
        held = (await on.ledger.post(one, "/assign", {"agent_id": frozen})).answer
        assert held is not None
        went = await on.ledger.post(two, "/assign", {"agent_id": other, "wait": 30})
        assert went.answer is not None
        assert went.answer["tasks"][0]["id"] == held["tasks"][0]["id"]
        late = await on.ledger.post(
            one, f"/assignments/{held['id']}/results", {"results": done(held)}
        )
        assert late.status == 409
        # It asks anew and works on something else: a late release is of the old work only.
        await on.farm.job("next", tasks=1)
        anew = (await on.ledger.post(one, "/assign", {"agent_id": frozen})).answer
        assert anew is not None
        release = f"/assignments/{held['id']}/release"
        assert (await on.ledger.post(one, release, {})).status == 409
        kept = (await on.ledger.post(one, "/assign", {"agent_id": frozen})).answer
        assert kept is not None
        assert kept["id"] == anew["id"]
    [ended] = [
        row
        for row in await invariants.made(on, "assignment.ended")
        if row["assignment_id"] == held["id"]
    ]
    assert ended["detail"]["because"] == "lease_lost"
    await finish(on, ids)
    await invariants.hold(on)


@contextmanager
def agent_process(
    url: str, token: str, state: Path, log: Path, environ: Mapping[str, str] = MappingProxyType({})
) -> Iterator[subprocess.Popen[bytes]]:
    words = ["--url", url, "--state-dir", str(state), "--wait", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "farmqueue", "agent", *words],
            env={**os.environ, "FARMQUEUE_TOKEN": token, **environ},
            stderr=output,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)


async def test_an_agent_process_that_was_frozen_ends_the_work_that_it_lost(
    on: Stage, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    script = "import os,sys,time;open(sys.argv[1],'w').write(str(os.getpid()));time.sleep(600)"
    command = [sys.executable, "-c", script, str(file)]
    await on.farm.job("shot", tasks=1, data={"command": command})
    token = (await on.farm.post("/tokens", {"role": "join", "name": "nodes"}))["token"]
    log = tmp_path / "agent.log"
    with agent_process(on.urls[0], token, tmp_path / "state", log) as process:
        while not (file.exists() and file.read_text()):
            await asyncio.sleep(0.05)
        rendering = int(file.read_text())
        os.kill(process.pid, signal.SIGSTOP)
        [other] = await enlist(on, 1)
        async with client(on.urls[0]) as http:
            asks = {"agent_id": other, "wait": 60}
            held = (await on.ledger.post(http, "/assign", asks)).answer
        assert held is not None
        os.kill(process.pid, signal.SIGCONT)
        while psutil.pid_exists(rendering):
            await asyncio.sleep(0.05)
        await finish(on, [other])
    assert "dropped" in log.read_text()
    because = [row["detail"]["because"] for row in await invariants.made(on, "assignment.ended")]
    assert "lease_lost" in because
    await invariants.hold(on)


async def last_result(stage: Stage, agent: str, early: float) -> tuple[int, int]:
    """Work in silence, and report about when the lease runs out: (assignment, status)."""
    async with client(stage.chance.choice(stage.urls)) as http:
        held = (await stage.ledger.post(http, "/assign", {"agent_id": agent, "wait": 30})).answer
        assert held is not None
        await asyncio.sleep(LEASE - early)
        path = f"/assignments/{held['id']}/results"
        told = await stage.ledger.post(http, path, {"results": done(held)})
        assert told.status is not None
        return held["id"], told.status


async def test_of_the_reaper_and_the_last_result_one_wins_whole(on: Stage) -> None:
    ids = await enlist(on, 24)
    met: dict[int, int] = {}
    late = 0.0  # what a machine that is busy takes longer
    while set(met.values()) != {200, 409}:
        await on.farm.job(f"shot {len(met)}", tasks=24, requeue=-1)
        rounds = (last_result(on, agent, late + on.chance.uniform(-0.2, 0.2)) for agent in ids)
        met |= dict(await asyncio.gather(*rounds))
        late += 0.2 if 200 not in met.values() else -0.1
    ended = "SELECT id, ended_because, done FROM assignments WHERE id = ANY($1)"
    rows = await on.postgres.fetch(ended, list(met))
    assert len(rows) == len(met)
    for row in rows:
        won = row["ended_because"] == "completed"
        assert (met[row["id"]], len(row["done"])) == ((200, 1) if won else (409, 0))
    await finish(on, ids)
    await invariants.hold(on)


async def edit(stage: Stage, over: asyncio.Event, chance: random.Random) -> None:
    """Lower and raise limits, and move queues, without a pause."""
    queues = stage.farm.queues
    while not over.is_set():
        await stage.farm.set_queue("/a", maximum_agents=chance.choice([0, 1, 1, 2]))
        await stage.farm.set_queue("/b", maximum_agents=chance.choice([0, 1, 1]))
        parent = chance.choice([queues["/a"], queues["/b"]])
        await stage.farm.set_queue("/a/in", parent_jobqueue_id=parent)


async def test_32_agents_never_pass_a_limit_that_is_lowered_under_a_queue_that_moves(
    on: Stage,
) -> None:
    ids = await enlist(on, 32)
    await on.farm.queue("/a", maximum_agents=1)
    await on.farm.queue("/b", maximum_agents=1)
    await on.farm.queue("/a/in")
    await on.farm.job("shot", tasks=10_000, queue="/a/in", requeue=-1)
    await on.farm.job("other", tasks=10_000, queue="/b", requeue=-1)
    over = asyncio.Event()
    editors = [
        asyncio.create_task(edit(on, over, random.Random(on.chance.random()))) for _ in range(2)
    ]
    async with crew(ids, on.urls, on.ledger, on.chance, effort=0.005, wait=0.5) as at_work:
        while len(await invariants.made(on, "assignment.made")) < MADE:
            at_work.check()
            await asyncio.sleep(0.2)
        over.set()
        await asyncio.gather(*editors)
        at_work.check()
        await on.farm.set_job("shot", maximum_agents=0)
        await on.farm.set_job("other", maximum_agents=0)
        await at_work.finish()
    assert await invariants.hold(on) >= MADE
    assert await invariants.active(on) == []


async def hang_up(stage: Stage, agent: str, url: str, after: float) -> None:
    """Poll, submit what it waits for, and go away at about the instant of the match."""
    async with client(url) as http:
        poll = asyncio.create_task(http.post("/assign", json={"agent_id": agent, "wait": 30}))
        await asyncio.sleep(0.05)
        await stage.farm.job("shot")
        await asyncio.sleep(after)
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)


async def test_what_a_cancelled_poll_was_given_is_its_agents_or_is_free(on: Stage) -> None:
    one, _ = ids = await enlist(on, 2)
    found = set()
    for _ in range(ROUNDS):
        await hang_up(on, one, on.chance.choice(on.urls), on.chance.uniform(0, 0.03))
        found.add(await who_gets_it(on, ids))
    assert one in found
    await finish(on, ids)
    assert await invariants.hold(on) == ROUNDS


async def who_gets_it(stage: Stage, ids: list[str]) -> str:
    """Ask for each agent in turn until one has the task, and do it."""
    async with client(stage.chance.choice(stage.urls)) as http:
        for agent in itertools.cycle(ids):
            held = (await stage.ledger.post(http, "/assign", {"agent_id": agent})).answer
            if held is not None:
                path = f"/assignments/{held['id']}/results"
                told = await stage.ledger.post(http, path, {"results": done(held)})
                assert told.status == httpx.codes.OK
                return agent
    raise AssertionError("the cycle has no end")
