"""Where servers of tests have their data."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHM = Path("/dev/shm")  # noqa: S108  # memory, where there is such a thing


@contextmanager
def home_in_memory(prefix: str) -> Iterator[Path]:
    """A folder that is gone after the run."""
    where = SHM if SHM.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where, prefix=prefix) as home:
        # The server's wheel makes its lock file there once more when the process ends.
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        yield Path(home)
