"""What a process prints: its progress while it runs, and the end of it for when it fails."""

import re
from collections.abc import Callable

TAIL_BYTES = 4096
_LONGEST_PROGRESS_LINE = 64
_PROGRESS = re.compile(rb"PROGRESS[ \t]+([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)[ \t]*")
_LINE_END = re.compile(rb"[\r\n]")


class Output:
    """Takes what is printed, chunk by chunk; keeps no more than its last 4 KB.

    A line `PROGRESS 0.42` (0 to 1; more counts as 1) is told to `on_progress`.
    """

    def __init__(self, on_progress: Callable[[float], None]) -> None:
        self._on_progress = on_progress
        self._end = b""
        self._line = b""

    def feed(self, chunk: bytes) -> None:
        self._end = (self._end + chunk)[-TAIL_BYTES:]
        *lines, rest = _LINE_END.split(self._line + chunk)
        # A line that never ends must not grow here, nor be taken for progress later.
        self._line = rest[: _LONGEST_PROGRESS_LINE + 1]
        values = [float(found[1]) for line in lines if (found := _PROGRESS.fullmatch(line))]
        if values:
            self._on_progress(min(values[-1], 1.0))

    def tail(self) -> str:
        """The end of the output as text that any database takes: UTF-8 with no NUL."""
        # A tail that was cut may begin inside a character.
        cut = (
            self._end.lstrip(bytes(range(0x80, 0xC0)))
            if len(self._end) == TAIL_BYTES
            else self._end
        )
        return cut.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
