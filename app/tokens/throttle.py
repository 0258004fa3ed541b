"""Wrong tokens are counted by the address that they come from; beyond so many, they must wait."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address
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
        address, now = site(address), self._clock()
        since, count = self._now(address, now)
        self._failures[address] = since, count + 1
        self._failures.move_to_end(address)
        if len(self._failures) > MOST:
            self._failures.popitem(last=False)
        return 0 if count < self._most else ceil(since + WINDOW - now)

    def is_over(self, address: str) -> bool:
        """Whether one more failure would be one too many."""
        return self._now(site(address), self._clock())[1] >= self._most

    def _now(self, address: str, now: float) -> tuple[float, int]:
        since, count = self._failures.get(address, (now, 0))
        return (now, 0) if now - since >= WINDOW else (since, count)


def site(address: str) -> str:
    """An IPv6 host may take any address of its network of 64 bits: that is what is counted."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
