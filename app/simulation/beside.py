"""Two plays at once: one of them in a copy of this process, which shares what was read by then."""

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import TypeVar

from app.simulation.confined import share_memory

Found = TypeVar("Found")
Play = Callable[[], Found]


def in_turn(first: Play[Found], second: Play[Found]) -> tuple[Found, Found]:
    """The second, then the first."""
    found = second()
    return first(), found


def side_by_side(first: Play[Found], second: Play[Found]) -> tuple[Found, Found]:
    """Both at the same time, within the limits of one; in turn where a process has no copies."""
    if sys.platform == "win32":
        return in_turn(first, second)
    from multiprocessing import get_context  # noqa: PLC0415

    context = get_context("fork")
    share_memory()
    hears, says = context.Pipe(duplex=False)
    left = signal.alarm(0)
    signal.alarm(left)
    copy = context.Process(target=_tell, args=(says, first, left), daemon=True)
    copy.start()
    says.close()
    try:
        found = second()
        return _told(hears), found
    finally:
        copy.kill()
        copy.join()


def _tell(says: Connection, play: Play[Found], seconds: int) -> None:
    """In the copy: it ends with whoever made it, and an alarm is not copied."""
    Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform != "win32":
        signal.alarm(seconds)
    try:
        says.send((play(), None))
    except Exception as failed:  # noqa: BLE001  # raised again by who hears of it
        says.send((None, failed))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _told(hears: "Connection[None, tuple[Found, Exception | None]]") -> Found:
    try:
        found, failed = hears.recv()
    except EOFError:  # a limit of the system ended it
        raise MemoryError from None
    if failed is not None:
        raise failed
    return found
