"""Time that passes while the machine sleeps, too: what is due then is due when it wakes."""

import time

# Elsewhere than on Linux what is called monotonic counts sleep as well, or there is nothing better.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Seconds, from a moment of no meaning; nobody sets this clock."""
    return time.clock_gettime(_STEADY)
