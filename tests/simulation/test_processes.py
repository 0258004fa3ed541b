"""Processes of simulations: their limits, and their end where nobody waits for them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.errors import Unavailable
from app.settings import Settings
from app.simulation.schemas import SimulationRequest
from app.simulation.service import Simulations, SimulationTooLarge
from app.simulation.simulate import simulate
from tests.processes import running_service
from tests.tokens import AUTH

SMALL = json.dumps({"farm": {"agents": [{}]}, "hours": 1}).encode()
# Days of short tasks: far more than fits into any time that is given here.
LONG: dict[str, Any] = {
    "farm": {
        "jobs": [{"title": "w", "tasks": 1_000_000, "seconds_per_task": 1, "count": 20}],
        "agents": [{"count": 100}],
    },
    "hours": 600,
    "step_seconds": 36_000,
}
BOTH = LONG | {"changes": {"agents": {"add": [{"count": 1}]}}}
# 3,000 jobs that each ask for a hundred long tags of their own.
HUGE = json.dumps(
    LONG
    | {
        "farm": {
            "agents": [{"count": 1}],
            "jobs": [
                {
                    "title": "w",
                    "tasks": 1,
                    "required_tags": [f"{n:0250}-{tag}" for tag in range(100)],
                }
                for n in range(3_000)
            ],
        }
    }
).encode()


def simulations(**settings: Any) -> Simulations:
    return Simulations(Settings(**settings), "postgresql+asyncpg://nowhere")


def children() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "app.simulation.worker" in one.cmdline():
                found.append(one)
    return found


@pytest.fixture(autouse=True)
async def _none_is_left() -> AsyncIterator[None]:
    yield
    assert children() == []


async def begun() -> None:
    """Until a simulation's process is there."""
    while not children():
        await asyncio.sleep(0.01)


async def test_one_answers_with_the_bytes_that_its_process_wrote() -> None:
    told = json.loads(await simulations().simulate(SMALL))
    assert told["changed"]["agents"] == 1


async def test_a_request_that_would_need_more_memory_than_it_may_have_is_refused() -> None:
    with pytest.raises(SimulationTooLarge, match=r"memory|MB"):
        await simulations(simulate_memory_mb=256, simulate_seconds=60).simulate(HUGE)


async def test_it_has_no_more_time_than_it_may_have() -> None:
    with pytest.raises(SimulationTooLarge, match=r"it came to \d+\.\d of 600 hours|longer|time"):
        await simulations(simulate_seconds=1).simulate(json.dumps(LONG).encode())


async def test_its_process_ends_where_its_client_hangs_up() -> None:
    running = simulations(simulate_seconds=60)
    with pytest.raises((SimulationTooLarge, Unavailable)):
        await running.simulate(json.dumps(LONG).encode(), begun)
    assert children() == []


async def test_with_and_without_the_changes_are_played_at_once_as_they_are_in_turn() -> None:
    asked = BOTH | {"hours": 0.05, "step_seconds": 60}
    told = json.loads(await simulations().simulate(json.dumps(asked).encode()))
    in_turn = simulate(SimulationRequest.model_validate(asked), "", 60)
    assert told == json.loads(json.dumps(in_turn))
    assert told["baseline"] != told["changed"]


@pytest.mark.parametrize("killed", ["by the service", "by another"])
async def test_no_play_outlives_the_process_that_it_is_beside(killed: str) -> None:
    running = simulations(simulate_seconds=60)
    asked = asyncio.create_task(running.simulate(json.dumps(BOTH).encode()))
    await begun()
    [process] = children()
    while not (copies := process.children()):
        await asyncio.sleep(0.01)
    if killed == "by the service":
        running.close()
    else:
        process.kill()
    with pytest.raises((SimulationTooLarge, Unavailable)):
        await asked
    while copies[0].is_running() and copies[0].status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.01)


async def test_a_play_beside_another_has_no_more_time() -> None:
    with pytest.raises(SimulationTooLarge, match=r"it came to|longer|time"):
        await simulations(simulate_seconds=1).simulate(json.dumps(BOTH).encode())


def test_two_plays_have_the_memory_of_one() -> None:
    """Each may take half of what is left when the copy is made."""
    program = (
        "import resource, app.simulation.confined as c, psutil\n"
        "c.confine(60, 2_000)\n"
        "used = psutil.Process().memory_info().vms\n"
        "c.share_memory()\n"
        "left = resource.getrlimit(resource.RLIMIT_AS)[0] - used\n"
        "print(used + 2 * left)"
    )
    most = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    assert int(most) == pytest.approx(2_000_000_000, abs=50_000_000)


async def test_its_process_ends_where_its_request_is_cancelled() -> None:
    asked = asyncio.create_task(
        simulations(simulate_seconds=60).simulate(json.dumps(LONG).encode())
    )
    await begun()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    while children():
        await asyncio.sleep(0.01)


async def test_more_than_may_run_at_once_are_sent_away_with_a_time_to_come_back() -> None:
    running = simulations(simulate_seconds=60)
    asked = asyncio.create_task(running.simulate(json.dumps(LONG).encode()))
    await begun()
    with pytest.raises(Unavailable) as refused:
        await running.simulate(SMALL)
    assert "Retry-After" in refused.value.headers
    running.close()
    with pytest.raises(Unavailable):
        await asked
    with pytest.raises(Unavailable):
        await running.simulate(SMALL)


async def test_where_none_may_run_every_one_is_refused() -> None:
    with pytest.raises(Unavailable):
        await simulations(simulate_at_once=0).simulate(SMALL)


async def test_a_process_knows_no_token_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMQUEUE_ADMIN_TOKEN", "secret")
    asked = asyncio.create_task(
        simulations(simulate_seconds=60).simulate(json.dumps(LONG).encode())
    )
    await begun()
    [process] = children()
    assert not [name for name in process.environ() if name.startswith("FARMQUEUE_")]
    while process.nice() < 10:
        await asyncio.sleep(0.01)
    assert os.getsid(process.pid) == process.pid
    asked.cancel()
    await asyncio.wait([asked])
    while children():
        await asyncio.sleep(0.01)


def test_a_service_that_is_told_to_stop_ends_its_simulations(database: str, tmp_path: Path) -> None:
    answers: list[httpx.Response] = []

    def ask(url: str) -> None:
        answers.append(httpx.post(f"{url}/simulate", json=LONG, headers=AUTH, timeout=60))

    settings = {"simulate_seconds": 120}
    with running_service(database, tmp_path / "log", **settings) as (url, pid):
        service = psutil.Process(pid)
        asking = threading.Thread(target=ask, args=[url])
        asking.start()
        while not (started := service.children()):
            pass
        service.send_signal(signal.SIGTERM)
        service.wait(10)
        asking.join()
    psutil.wait_procs(started, timeout=60)
    assert [one for one in started if one.is_running()] == []
    assert [one.status_code for one in answers] == [503]
