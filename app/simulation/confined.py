"""Limits that a process sets itself before it does anything large."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

# What begins to write its answer at the last moment still may.
SPARE_SECONDS = 3
NICE = 10

# Where Linux keeps the niceness of the session that this process is in.
AUTOGROUP = Path("/proc/self/autogroup")


def confine(seconds: float, memory_mb: int) -> None:
    """No more memory and time than that, and only what others leave of the processor.

    Whoever started it may be gone: the alarm ends it then.
    """
    give_way(NICE)
    confine_memory(memory_mb)
    if sys.platform != "win32":
        import resource  # noqa: PLC0415

        processor = int(seconds) + SPARE_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
        signal.alarm(processor)


def give_way(nice: int) -> None:
    """Take of the processor only what others leave, by so much.

    Linux shares it between sessions first, each by a niceness of its own, and only within one by
    that of its processes: what leads a session has to say it for both.
    """
    os.nice(nice)
    if sys.platform != "win32" and os.getsid(0) == os.getpid():
        with suppress(OSError):  # sessions are no matter here
            AUTOGROUP.write_text(f"{nice}\n")


def confine_memory(memory_mb: int) -> None:
    """For a process that does one thing after the other: no more memory than that."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415

        memory = memory_mb * 1_000_000
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def share_memory() -> None:
    """Leave a copy of this process half of the memory that it may still take."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            used = psutil.Process().memory_info().vms
            memory = used + max(most - used, 0) // 2
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
