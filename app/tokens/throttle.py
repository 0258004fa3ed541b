"""Wrong tokens are counted by the address that they come from; beyond so many, they must wait."""

import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

WINDOW = 60.0  # seconds
MOST = 10_000  # addresses


class Throttle:
    """Failures of each address in a window of a minute; the oldest addresses are forgotten."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, address: str) -> int:
        """Count a failure; seconds to wait, 0 where it is not one too many."""
        now = self._clock()
        since, count = self._failures.get(address, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._failures[address] = since, count + 1
        self._failures.move_to_end(address)
        if len(self._failures) > MOST:
            self._failures.popitem(last=False)
        return 0 if count < self._most else ceil(since + WINDOW - now)
