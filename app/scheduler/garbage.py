"""The collector of garbage, and a farm of a million objects that stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Objects made and not yet freed before the collector looks among the young ones. A call makes some
# hundred that free themselves: with Python's 700 it would look with every few calls, for nothing.
YOUNG = 50_000


def look_seldom() -> None:
    """Have the collector of this process look less often for what does not free itself."""
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])


@contextmanager
def many_objects_to_stay() -> Iterator[None]:
    """Spare the objects made inside from the collector, now and later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_former() -> None:
    """Free the memory of those that stayed and were thrown away since."""
    gc.unfreeze()
    gc.collect()
