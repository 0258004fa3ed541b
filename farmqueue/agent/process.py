"""One command, from its start to its end."""

import asyncio
import os
import signal
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable

from farmqueue.agent import family
from farmqueue.agent.command import Command
from farmqueue.agent.output import Output

_CHUNK = 65536  # bytes
_LOOK_AGAIN = 0.5  # seconds
_LAST_WORDS = 1.0  # seconds
_NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows only


async def run(
    command: Command,
    *,
    on_start: Callable[[int], None],
    on_progress: Callable[[float], None],
    grace: float,
) -> str | None:
    """Run a command; None when it ended well, else what went wrong with the end of its output.

    `on_start` hears its pid, `on_progress` how far it says it is. Whatever way it ends, and if
    cancelled too, nothing that it started lives on: what does not end by itself gets SIGTERM, and
    SIGKILL `grace` seconds later.
    """
    try:
        process = await _start(command)
    except (OSError, ValueError) as error:
        return _not_started(command, error)
    on_start(process.pid)
    output = Output(on_progress)
    wrong = await _ended(process, output, command.timeout, grace)
    return f"{wrong}\n{output.tail()}".strip() if wrong else None


async def _start(command: Command) -> Process:
    return await asyncio.create_subprocess_exec(
        *command.argv,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env=command.environ,
        cwd=command.cwd,
        start_new_session=True,
        creationflags=_NEW_GROUP,
    )


async def _ended(process: Process, output: Output, limit: float | None, grace: float) -> str | None:
    hearing = asyncio.create_task(_hear(process, output))
    try:
        async with asyncio.timeout(limit):
            return _verdict(await _exit_code(process))
    except TimeoutError:
        return f"timed out after {limit:g} s"
    finally:
        try:
            await family.end(process, grace)
            await asyncio.wait({hearing}, timeout=_LAST_WORDS)
        finally:
            hearing.cancel()
            # A process that left the family may still hold the pipe; nobody listens any more.
            process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


async def _exit_code(process: Process) -> int:
    # In some releases of Python wait() ends only when the pipe is closed as well, which what was
    # left running in the background may never do.
    waiting = asyncio.create_task(process.wait())
    try:
        while process.returncode is None:
            await asyncio.wait({waiting}, timeout=_LOOK_AGAIN)
        return process.returncode
    finally:
        waiting.cancel()


async def _hear(process: Process, output: Output) -> None:
    assert process.stdout is not None
    while chunk := await process.stdout.read(_CHUNK):
        output.feed(chunk)


def _verdict(code: int) -> str | None:
    if code == 0:
        return None
    return f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _not_started(command: Command, error: OSError | ValueError) -> str:
    if command.cwd is not None and not os.path.isdir(command.cwd):  # noqa: PTH112
        return f"cannot start {command.argv[0]!r}: no directory {command.cwd!r} on this agent"
    reason = error.strerror if isinstance(error, OSError) else error
    return f"cannot start {command.argv[0]!r} on this agent: {reason}"
