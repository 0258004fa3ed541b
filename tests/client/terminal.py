"""A command in a terminal of its own: what it shows there, and keys that are pressed."""

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyte

_READ = 1 << 16


@dataclass
class Terminal:
    """The screen of a process."""

    process: subprocess.Popen[bytes]
    fd: int
    screen: pyte.Screen
    stream: pyte.ByteStream

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def until(self, seen: Callable[[list[str]], object]) -> list[str]:
        """The lines, once they are so; the time of the whole test is the limit."""
        while not seen(self.lines):
            if not self.read():
                raise AssertionError("the command ended: " + "\n".join(self.lines))
        return self.lines

    def read(self) -> bool:
        """Take in what was written; False where nothing will be any more."""
        ready, _, _ = select.select([self.fd], [], [], 0.1)
        if not ready:
            return self.process.poll() is None
        try:
            written = os.read(self.fd, _READ)
        except OSError:  # the other end is closed
            return False
        self.stream.feed(written)
        return bool(written)

    def end(self) -> int:
        """The exit code, once it ended by itself."""
        while self.read():
            pass
        return self.process.wait()


@contextlib.contextmanager
def terminal(
    *words: str, environ: Mapping[str, str], columns: int = 100, lines: int = 24
) -> Iterator[Terminal]:
    """`farmqueue` with these words; it is killed where it is left behind."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    settings = {"TERM": "xterm-256color", "COLORTERM": "", "NO_COLOR": ""}
    inherited = {key: os.environ[key] for key in os.environ if key not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "farmqueue", *words],
        stdin=its,
        stdout=its,
        stderr=its,
        env={**inherited, **settings, **environ},
        start_new_session=True,
    )
    os.close(its)
    screen = pyte.Screen(columns, lines)
    try:
        yield Terminal(process, ours, screen, pyte.ByteStream(screen))
    finally:
        process.kill()
        process.wait()
        os.close(ours)
