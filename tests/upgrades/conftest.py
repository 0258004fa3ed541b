"""The servers and services of the chaos suite, and services that know of several servers."""

import asyncio

import pytest

from tests.chaos.conftest import chance, cluster, stage
from tests.chaos.stage import Replica
from tests.processes import spawn, until_ready

__all__ = ["chance", "cluster", "stage"]


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Services get a URL with these ports."""
    ports: list[int] = []

    async def start(self: Replica) -> None:
        names = ",".join(f"127.0.0.1:{port}" for port in ports or [self.database.port])
        url = f"postgresql://postgres@{names}/postgres?target_session_attrs=read-write"
        told = self.settings | {"port": self.port, "database_url": url}
        self.process = spawn(self.log, told, self.environ)
        await asyncio.to_thread(until_ready, self.process, self.url, self.log)

    monkeypatch.setattr(Replica, "start", start)
    return ports
