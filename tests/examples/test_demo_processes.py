"""The demo's children: where they listen, what their death says, and that none is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from examples.demo import processes
from examples.demo.processes import Child, DemoFailed, free_port

HOST = "127.0.0.1"


def listening() -> socket.socket:
    taken = socket.socket()
    taken.bind((HOST, 0))
    taken.listen()
    return taken


def script(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a script of a test play the farmqueue command."""
    program = tmp_path / "farmqueue"
    program.write_text(f"#!{sys.executable}\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setattr(processes, "PROGRAM", [str(program)])


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.01)


def test_a_free_port_is_used_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    with listening() as taken:
        port = taken.getsockname()[1]
    assert free_port(HOST, port) == port
    assert capsys.readouterr().out == ""


def test_a_taken_port_gives_way_to_the_next_and_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with listening() as taken:
        port = taken.getsockname()[1]
        assert port < free_port(HOST, port) < port + processes.PORTS
        assert f"Port {port} is taken" in capsys.readouterr().out


def test_no_free_port_is_an_error_that_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PORTS", 1)
    with listening() as taken, pytest.raises(DemoFailed, match="FARMQUEUE_PORT"):
        free_port(HOST, taken.getsockname()[1])


def test_a_child_that_ended_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("\n".join(f"line {number}" for number in range(50)) + "\nno such database\n")
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        process.wait()
        with pytest.raises(DemoFailed) as failed:
            Child("the service", process, log).must_live()
    assert "the service ended with exit code 3" in str(failed.value)
    assert "no such database" in str(failed.value)
    assert "line 9\n" not in str(failed.value)


def test_a_child_is_over_when_its_block_is_left_whatever_happens_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "import time; time.sleep(600)", monkeypatch)
    children: list[Child] = []
    with pytest.raises(RuntimeError, match="in the block"):
        _fail_within(tmp_path, children)
    assert [child.process.returncode for child in children] == [-signal.SIGTERM]


def _fail_within(data_dir: Path, children: list[Child]) -> None:
    with processes.service(data_dir, HOST, 1, "t") as child:
        child.must_live()
        children.append(child)
        raise RuntimeError("in the block")


def test_a_child_that_does_not_listen_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    script(tmp_path, f"{deaf}; time.sleep(600)", monkeypatch)
    monkeypatch.setattr(processes, "STOP_WITHIN", 0.1)
    with processes.service(tmp_path, HOST, 1, "t") as child:
        until(child.log.read_text)
    assert child.process.returncode == -signal.SIGKILL


def test_a_signal_while_a_child_starts_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "import time; time.sleep(600)", monkeypatch)
    real, started = subprocess.Popen, []

    def start(*arguments: object, **more: object) -> object:
        process = real(*arguments, **more)  # type: ignore[call-overload]
        started.append(process)
        os.kill(os.getpid(), signal.SIGINT)  # before anyone else knows of the process
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt), processes.service(tmp_path, HOST, 1, "t"):
        pytest.fail("the block must not be entered")
    assert [process.returncode for process in started] == [-signal.SIGTERM]
    assert not [child for child in psutil.Process().children() if "farmqueue" in child.name()]


def test_the_service_gets_its_data_directory_and_the_agents_their_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = (
        "import os, sys; print(sys.argv[1:], {k: v for k, v in os.environ.items() if 'FARM' in k})"
    )
    script(tmp_path, shown, monkeypatch)
    with processes.service(tmp_path, HOST, 8123, "t") as service:
        service.process.wait()
    assert "['serve', '--host', '127.0.0.1', '--port', '8123']" in service.log.read_text()
    assert "'FARMQUEUE_ADMIN_TOKEN': 't'" in service.log.read_text()
    assert f"'FARMQUEUE_DATA_DIR': '{tmp_path}'" in service.log.read_text()
    with processes.agents(tmp_path, "http://farm:1", 4, "j") as agents:
        agents.process.wait()
    assert "'--slots', '4'" in agents.log.read_text()
    assert "'FARMQUEUE_TOKEN': 'j'" in agents.log.read_text()
    assert "'FARMQUEUE_URL': 'http://farm:1'" in agents.log.read_text()
