"""`farmqueue agent` as a process of its own: exit codes and log."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from farmqueue.agent.identity import claimed
from tests.client.farm import Farm, listening, problem

LONG = 600  # seconds; no test waits that long


@contextmanager
def agent(url: str, state_dir: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An agent process, which is killed when the test leaves it behind."""
    command = [sys.executable, "-m", "farmqueue", "agent", "--url", url]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, "--state-dir", str(state_dir), "--wait", "0"], stderr=stderr
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def sleeper(file: Path) -> list[str]:
    """A command line that writes its pid into a file, and then takes for ever."""
    script = (
        "import os, sys, time\n"
        "with open(sys.argv[1], 'w') as f: f.write(str(os.getpid()))\n"
        f"time.sleep({LONG})"
    )
    return [sys.executable, "-c", script, str(file)]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(happened: Callable[[], object]) -> None:
    while not happened():
        time.sleep(0.01)


def test_a_terminated_agent_gives_back_its_work_and_exits_with_0(tmp_path: Path) -> None:
    farm, log, file = Farm(), tmp_path / "log", tmp_path / "pid"
    done = farm.give(1, command=[sys.executable, "-c", ""])
    failed = farm.give(1, command=["no such program\n"])
    running = farm.give(1, command=sleeper(file))
    with listening(farm) as url, agent(url, tmp_path, log) as process:
        until(lambda: file.exists() and file.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    first, second = (work["tasks"][0]["id"] for work in (done, failed))
    assert farm.states() == {first: "done", second: "failed"}
    assert farm.released == [running["id"]]
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) +\w.*")
    lines = log.read_text().splitlines()
    assert all(form.fullmatch(line) for line in lines), lines
    assert any("tasks failed  slot=0 assignment=102 job=2 tasks=1" in line for line in lines)


def test_an_agent_that_is_refused_says_why_and_exits_with_7(tmp_path: Path) -> None:
    farm, log = Farm(), tmp_path / "log"
    farm.refuse["POST /agents"] = problem(403, "forbidden", "this token may not join")
    with listening(farm) as url, agent(url, tmp_path, log) as process:
        assert process.wait() == 7
    assert "farmqueue: this token may not join\n" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_an_agent_whose_place_is_taken_says_so_and_exits_with_4(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with claimed(tmp_path), agent("http://127.0.0.1:9", tmp_path, log) as process:
        assert process.wait() == 4
    assert "--state-dir" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_killed_agent_is_followed_by_one_that_ends_what_it_left(tmp_path: Path) -> None:
    farm, log, file = Farm(), tmp_path / "log", tmp_path / "pid"
    farm.give(1, command=sleeper(file))
    with listening(farm) as url:
        with agent(url, tmp_path, log) as process:
            until(lambda: file.exists() and file.read_text())
            process.kill()
            process.wait()
            orphan = int(file.read_text())
            assert psutil.pid_exists(orphan)
            farm.held.clear()
        with agent(url, tmp_path, log):
            until(lambda: len(farm.called("POST /agents")) == 2)
            assert not is_running(orphan)
    assert len(farm.agents) == 1


def test_a_task_that_kills_its_agent_twice_has_failed_once_that_is_started_again(
    tmp_path: Path,
) -> None:
    farm, log = Farm(), tmp_path / "log"
    kills = [sys.executable, "-c", "import os; os.kill(os.getppid(), 9)"]
    work = farm.give(1, command=kills)
    with listening(farm) as url:
        for _ in range(2):
            with agent(url, tmp_path, log) as process:
                assert process.wait() == -signal.SIGKILL
            assert farm.results == {}
        with agent(url, tmp_path, log):
            until(lambda: farm.results)
    assert farm.states() == {work["tasks"][0]["id"]: "failed"}
