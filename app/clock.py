"""Time that passes while the machine sleeps, too: what is due then is due when it wakes."""

import time

_COUNTS_SLEEP = hasattr(time, "CLOCK_BOOTTIME")  # elsewhere sleep may not count


def steady() -> float:
    """Seconds, from a moment of no meaning, by a clock that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if _COUNTS_SLEEP else time.monotonic()
