"""A file system of a few megabytes, to be filled to the last byte."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MB = 2**20
CHUNKS = (MB, 4_096)


@dataclass(frozen=True)
class Disk:
    path: Path

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes, and no more."""
        for chunk in CHUNKS:
            with self._filler.open("ab", buffering=0) as filler:
                while self.free() >= leave + chunk:
                    filler.write(bytes(chunk))

    def free_some(self) -> None:
        self._filler.unlink()

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[Disk]:
    """One at `path`, in memory, as only root may make it."""
    assert os.geteuid() == 0, "a disk that is full is one of the test's own: run this as root"
    path.parent.chmod(0o711)  # the server is another user's
    path.mkdir()
    options = f"size={size},mode=0711"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
