"""The stage of a benchmark: the embedded PostgreSQL, farms in it, service processes on them."""

import asyncio
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from app.db.driver import connect
from app.db.embedded import database_url
from app.db.migrations import upgrade_at
from app.settings import Settings
from benchmarks.client import TOKEN
from tests.processes import running_service, services

LONG_LEASE = 3_600  # seconds: that agents lose their work is not what is measured


@dataclass(frozen=True)
class Options:
    """What the command line says of how long to measure."""

    seconds: float | None = None
    minutes: float = 10.0

    def length(self, usual: float) -> float:
        """Seconds of one measurement."""
        return self.seconds or usual


class Service(NamedTuple):
    url: str
    pid: int


@dataclass
class Stage:
    """One server as it comes, durable, and a fresh database in it for each farm."""

    server: str
    home: Path
    options: Options
    _numbers: Iterator[int] = field(default_factory=count)

    def database(self) -> str:
        """The URL of a new, empty farm."""
        url = self.empty_database()
        asyncio.run(upgrade_at(Settings(), url))
        return url

    def empty_database(self) -> str:
        name = f"farm{next(self._numbers)}"
        asyncio.run(self._create(name))
        return urlsplit(self.server)._replace(path=f"/{name}").geturl()

    @contextmanager
    def service(self, database: str, **settings: object) -> Iterator[Service]:
        """One service process on that farm."""
        told = {"lease_seconds": LONG_LEASE, "admin_token": TOKEN} | settings
        with running_service(database, self._log(), **told) as (url, pid):
            yield Service(url, pid)

    @contextmanager
    def services(self, database: str, processes: int) -> Iterator[list[str]]:
        logs = [self._log() for _ in range(processes)]
        with services(database, logs, lease_seconds=LONG_LEASE, admin_token=TOKEN) as urls:
            yield urls

    def _log(self) -> Path:
        return self.home / f"service{next(self._numbers)}.log"

    async def _create(self, name: str) -> None:
        connection = await connect(self.server)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()


@contextmanager
def stage(options: Options) -> Iterator[Stage]:
    """A stage that is gone afterwards, data and all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a poll held open is a file
    with (
        tempfile.TemporaryDirectory() as home,
        database_url(Settings(data_dir=Path(home) / "data")) as server,
    ):
        yield Stage(server, Path(home), options)
