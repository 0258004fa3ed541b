"""Keys as they are pressed, where the terminal has any; else only time passes."""

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Protocol

_NAMES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}
_READ = 64
_SHORT = 0.05  # seconds


class Keys(Protocol):
    """Whatever tells of keys."""

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed, within so many seconds."""


@contextlib.contextmanager
def keys() -> Iterator[Keys]:
    """While it lasts the terminal tells each key at once, and does not show it."""
    if not sys.stdin.isatty():
        yield _None()
        return
    with _each_key() as pressed:
        yield pressed


def named(read: str) -> list[str]:
    """What was read, cut into keys."""
    found: list[str] = []
    while read:
        sequence = next((one for one in _NAMES if read.startswith(one)), read[0])
        found.append(_NAMES.get(sequence, sequence))
        read = read[len(sequence) :]
    return found


class _None:
    def wait(self, seconds: float) -> list[str]:
        time.sleep(seconds)
        return []


class _OfTerminal:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def wait(self, seconds: float) -> list[str]:
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return []
        read = os.read(self._fd, _READ)
        return named(read.decode(errors="replace")) if read else ["q"]  # the terminal is gone


@contextlib.contextmanager
def _each_key() -> Iterator[Keys]:
    """POSIX and Windows have nothing of this in common."""
    if sys.platform == "win32":
        yield _OfWindows()
    else:
        import termios  # noqa: PLC0415  # not on Windows
        import tty  # noqa: PLC0415

        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd)
        try:
            yield _OfTerminal(fd)
        finally:
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


if sys.platform == "win32":
    import msvcrt

    class _OfWindows:
        def wait(self, seconds: float) -> list[str]:
            deadline = time.monotonic() + seconds
            while not msvcrt.kbhit():
                if time.monotonic() >= deadline:
                    return []
                time.sleep(_SHORT)
            return [msvcrt.getwch()]
