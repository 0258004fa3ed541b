"""Limits that a process sets itself before it does anything large."""

import os
import signal
import sys

import psutil

# What begins to write its answer at the last moment still may.
SPARE_SECONDS = 3
NICE = 10


def confine(seconds: float, memory_mb: int) -> None:
    """No more memory and time than that, and only what others leave of the processor.

    Whoever started it may be gone: the alarm ends it then.
    """
    os.nice(NICE)
    confine_memory(memory_mb)
    if sys.platform != "win32":
        import resource  # noqa: PLC0415

        processor = int(seconds) + SPARE_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
        signal.alarm(processor)


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
