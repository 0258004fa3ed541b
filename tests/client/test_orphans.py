"""What an agent that was killed leaves running."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farmqueue.agent import orphans

LONG = 600  # seconds; no test waits that long


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that nobody looks after."""
    command = [sys.executable, "-c", f"import time; time.sleep({LONG})"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_what_still_runs_is_ended(tmp_path: Path) -> None:
    with sleeper() as process:
        orphans.remember(tmp_path, 0, process.pid)
        assert await orphans.end(tmp_path, 0, LONG) is True
        assert process.wait() != 0
        assert await orphans.end(tmp_path, 0, LONG) is False


async def test_what_another_slot_runs_is_left_alone(tmp_path: Path) -> None:
    with sleeper() as process:
        orphans.remember(tmp_path, 1, process.pid)
        assert await orphans.end(tmp_path, 0, LONG) is False
        assert process.poll() is None


async def test_what_has_ended_is_left_alone(tmp_path: Path) -> None:
    with sleeper() as process:
        orphans.remember(tmp_path, 0, process.pid)
        orphans.forget(tmp_path, 0)
        assert await orphans.end(tmp_path, 0, LONG) is False
        assert process.poll() is None


async def test_another_process_with_its_pid_is_left_alone(tmp_path: Path) -> None:
    with sleeper() as process:
        orphans.remember(tmp_path, 0, process.pid)
        note = tmp_path / "slot-0.running"
        pid, started = note.read_text().split()
        note.write_text(f"{pid} {float(started) - 60}")
        assert await orphans.end(tmp_path, 0, LONG) is False
        assert process.poll() is None


async def test_a_broken_note_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "slot-0.running").write_text("1")
    assert await orphans.end(tmp_path, 0, LONG) is False


async def test_what_a_slot_that_is_no_more_ran_is_ended(tmp_path: Path) -> None:
    with sleeper() as kept, sleeper() as process:
        orphans.remember(tmp_path, 0, kept.pid)
        orphans.remember(tmp_path, 3, process.pid)
        await orphans.end_beyond(tmp_path, 1, LONG)
        assert process.wait() != 0
        assert kept.poll() is None


async def test_what_a_command_started_is_ended_though_the_command_itself_is_gone(
    tmp_path: Path,
) -> None:
    child = f"import time; print('up', flush=True); time.sleep({LONG})"
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        orphans.remember(tmp_path, 0, process.pid)
        process.wait()
        assert await orphans.end(tmp_path, 0, LONG) is True
        assert process.stdout.read() == b""  # nobody has it open any more
