"""One command, with real processes: its outcome, and that nothing of it lives on."""

import asyncio
import os
import sys
from pathlib import Path

import psutil
import pytest

from farmqueue.agent import process
from farmqueue.agent.command import Command
from tests.client.farm import until

LONG = 600  # seconds; no test waits that long


def python(script: str, *arguments: str) -> Command:
    """A command that runs a Python script."""
    argv = [sys.executable, "-u", "-c", script, *arguments]
    return Command(argv, environ=dict(os.environ))


async def run(command: Command, grace: float = LONG) -> str | None:
    return await process.run(
        command, on_start=lambda _: None, on_progress=lambda _: None, grace=grace
    )


def pids(file: Path, how_many: int) -> list[int]:
    """The process ids in a file, once there are so many."""
    found = file.read_text().split() if file.exists() else []
    return [int(word) for word in found] if len(found) >= how_many else []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# Each member of the family writes its pid; the eldest starts a child, which starts another.
FAMILY = """
import os, subprocess, sys, time
file, depth = sys.argv[1], int(sys.argv[2])
{first}
with open(file, "a") as out:
    out.write(f"{{os.getpid()}}\\n")
if depth:
    subprocess.Popen([sys.executable, "-c", {again!r}, file, str(depth - 1)])
{last}
"""


def family(file: Path, *, first: str = "", last: str = f"time.sleep({LONG})") -> Command:
    """A process with a child and a grandchild; `first` and `last` is what each of them does."""
    again = "import os; exec(os.environ['FAMILY'])"
    script = FAMILY.format(first=first, last=last, again=again)
    command = python(script, str(file), "2")
    command.environ["FAMILY"] = script
    return command


async def test_a_command_that_exits_with_0_ended_well() -> None:
    assert await run(python("print('hello')")) is None


async def test_a_failure_has_the_exit_code_and_the_end_of_both_outputs() -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert await run(python(script)) == "exit code 3\nout\nerr"


async def test_a_failure_without_output_is_its_exit_code() -> None:
    assert await run(python("import sys; sys.exit(3)")) == "exit code 3"


async def test_a_killed_command_failed_by_the_name_of_the_signal() -> None:
    assert await run(python("import os; os.kill(os.getpid(), 9)")) == "killed by SIGKILL"


async def test_a_program_that_is_not_there_is_named() -> None:
    command = Command(["no-such-renderer"], environ=dict(os.environ))
    wrong = await run(command)
    assert wrong == ("cannot start 'no-such-renderer' on this agent: No such file or directory")


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    command = Command([sys.executable, "-c", ""], environ=dict(os.environ), cwd=missing)
    assert f"no directory {missing!r}" in (await run(command) or "")


async def test_an_argument_that_no_system_takes_is_a_failure() -> None:
    assert "cannot start" in (await run(python("", "a\0b")) or "")


async def test_a_command_runs_in_its_directory(tmp_path: Path) -> None:
    command = python("open('here', 'w')")
    inside = Command(command.argv, command.environ, cwd=str(tmp_path))
    assert await run(inside) is None
    assert (tmp_path / "here").exists()


async def test_a_command_gets_no_input_to_wait_for() -> None:
    assert await run(python("import sys; sys.exit(sys.stdin.read() != '')")) is None


async def test_progress_is_told_while_the_command_runs(tmp_path: Path) -> None:
    told: list[float] = []
    go_on = tmp_path / "go-on"
    script = (
        "import os, sys, time; print('PROGRESS 0.5')\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    )
    command = python(script, str(go_on))
    pids_told: list[int] = []
    running = asyncio.create_task(
        process.run(command, on_start=pids_told.append, on_progress=told.append, grace=LONG)
    )
    await until(lambda: told)
    assert [alive(pid) for pid in pids_told] == [True]
    go_on.touch()
    assert await running is None
    assert told == [0.5]


async def test_all_output_is_heard_before_the_verdict() -> None:
    script = "print('x' * 1_000_000); print('the last line'); raise SystemExit(1)"
    assert (await run(python(script)) or "").endswith("the last line")


async def test_a_command_past_its_time_limit_failed_and_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    # A shell: Python may take longer than that to begin.
    script = f'echo $$ > "$0"; echo busy; exec sleep {LONG}'
    command = Command(["sh", "-c", script, str(file)], environ=dict(os.environ), timeout=2)
    assert await run(command) == "timed out after 2 s\nbusy"
    assert not alive(*pids(file, 1))


async def test_cancelling_ends_the_command_with_all_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    running = asyncio.create_task(run(family(file)))
    await until(lambda: pids(file, 3))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [pid for pid in pids(file, 3) if alive(pid)]


async def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    running = asyncio.create_task(run(family(file, first=deaf), grace=0.2))
    await until(lambda: pids(file, 3))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [pid for pid in pids(file, 3) if alive(pid)]


async def test_a_command_may_tidy_up_within_the_grace(tmp_path: Path) -> None:
    ready, tidy = tmp_path / "ready", tmp_path / "tidy"
    script = (
        "import pathlib, signal, sys, time\n"
        "def end(*_): pathlib.Path(sys.argv[2]).touch(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); pathlib.Path(sys.argv[1]).touch()\n"
        f"time.sleep({LONG})"
    )
    running = asyncio.create_task(run(python(script, str(ready), str(tidy))))
    await until(ready.exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert tidy.exists()


async def test_cancelling_twice_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    running = asyncio.create_task(run(family(file, first=deaf), grace=LONG))
    await until(lambda: pids(file, 3))
    running.cancel()
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: not [pid for pid in pids(file, 3) if alive(pid)])


async def test_one_that_left_the_session_is_ended_too(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    running = asyncio.create_task(
        run(family(file, first="os.getpid() == os.getsid(0) or os.setsid()"))
    )
    await until(lambda: pids(file, 3))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [pid for pid in pids(file, 3) if alive(pid)]


async def test_what_was_left_in_the_background_ends_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    # The eldest ends once the youngest is there; the others would hold the pipe for ever.
    last = f"""
while depth == 2 and open(file).read().count("\\n") < 3: time.sleep(0.01)
if depth < 2: time.sleep({LONG})
"""
    assert await run(family(file, last=last)) is None
    assert not [pid for pid in pids(file, 3) if alive(pid)]


async def test_a_daemon_that_holds_the_pipe_does_not_hold_the_agent(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    # The eldest ends when the youngest runs in a session of its own.
    first = "depth == 2 or os.setsid()"
    last = f"""
while depth == 2 and open(file).read().count("\\n") < 3: time.sleep(0.01)
if depth < 2: time.sleep({LONG})
"""
    assert await run(family(file, first=first, last=last)) is None
    for pid in pids(file, 3)[1:]:
        psutil.Process(pid).kill()
