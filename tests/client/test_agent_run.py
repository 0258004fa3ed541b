"""The slots of a process together: signals, the state directory, and what makes them give up."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from farmqueue import Forbidden
from farmqueue.agent import Options, run
from farmqueue.agent.identity import StateDirInUse, claimed
from tests.client.farm import Farm, problem, until

LONG = 600  # seconds; no test waits that long


def options(state_dir: Path, **more: Any) -> Options:
    return Options(state_dir=state_dir, **{"pause": 0.01, "wait": 0, "grace": 0.2, **more})


def sleeper(file: Path, *, deaf: bool = False) -> list[str]:
    """A command line that writes its pid, takes for ever, and may ignore SIGTERM."""
    script = (
        "import os, signal, sys, time\n"
        f"if {deaf}: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "with open(sys.argv[1], 'w') as f: f.write(str(os.getpid()))\n"
        f"time.sleep({LONG})"
    )
    return [sys.executable, "-c", script, str(file)]


def written(file: Path) -> bool:
    return file.exists() and bool(file.read_text())


def is_alive(file: Path) -> bool:
    try:
        return psutil.Process(int(file.read_text())).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_makes_all_slots_give_back_their_work(
    tmp_path: Path, number: signal.Signals
) -> None:
    farm, files = Farm(), [tmp_path / "a", tmp_path / "b"]
    held = {farm.give(1, command=sleeper(file))["id"] for file in files}
    running = asyncio.create_task(run(options(tmp_path, slots=2), farm.async_client()))
    await until(lambda: all(written(file) for file in files))
    os.kill(os.getpid(), number)
    assert await running is True
    assert set(farm.released) == held
    assert [agent["state"] for agent in farm.agents.values()] == ["offline", "offline"]
    assert not any(is_alive(file) for file in files)


async def test_a_second_signal_waits_for_no_grace(tmp_path: Path) -> None:
    farm, file = Farm(), tmp_path / "pid"
    farm.give(1, command=sleeper(file, deaf=True))
    running = asyncio.create_task(run(options(tmp_path, grace=LONG), farm.async_client()))
    await until(lambda: written(file))
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.05)
    assert is_alive(file)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running is False
    await until(lambda: not is_alive(file))


async def test_signals_are_as_before_when_an_agent_has_ended(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    farm = Farm()
    running = asyncio.create_task(run(options(tmp_path), farm.async_client()))
    await until(lambda: farm.agents)
    assert signal.getsignal(signal.SIGTERM) is not before
    os.kill(os.getpid(), signal.SIGTERM)
    await running
    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_hangup_that_was_to_be_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        farm = Farm()
        running = asyncio.create_task(run(options(tmp_path), farm.async_client()))
        await until(lambda: farm.agents)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_an_agent_can_be_stopped_while_its_service_is_away(tmp_path: Path) -> None:
    farm = Farm(away=True)
    running = asyncio.create_task(run(options(tmp_path), farm.async_client()))
    await until(lambda: farm.calls)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running is True
    assert {call.path for call in farm.calls} == {"/agents"}


async def test_one_refusal_ends_all_slots_with_its_reason(tmp_path: Path) -> None:
    farm = Farm(refuse={"POST /agents": problem(403, "forbidden", "may not join")})
    with pytest.raises(Forbidden, match="may not join"):
        await run(options(tmp_path, slots=3), farm.async_client())


async def test_two_processes_do_not_share_a_state_directory(tmp_path: Path) -> None:
    farm = Farm()
    with claimed(tmp_path), pytest.raises(StateDirInUse, match="--state-dir"):
        await run(options(tmp_path), farm.async_client())
    assert farm.calls == []


async def test_an_agent_whose_id_cannot_be_kept_works_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    farm, no_directory = Farm(), tmp_path / "file"
    no_directory.write_text("")
    work = farm.give(1, command=[sys.executable, "-c", ""])
    running = asyncio.create_task(run(options(no_directory), farm.async_client()))
    await until(lambda: farm.results)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running is True
    assert farm.states() == {work["tasks"][0]["id"]: "done"}
    assert "state directory cannot be used" in caplog.text
