"""The collector of garbage, and a farm of a million objects that stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
