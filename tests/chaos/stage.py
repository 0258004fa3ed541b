"""A farm to be hurt: a database, services, and a proxy on every way between them."""

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.clients import client
from tests.chaos.crew import Ledger
from tests.chaos.postgres import Postgres, running
from tests.chaos.proxy import Proxy, proxy
from tests.farm import Farm
from tests.processes import START_SECONDS, free_port, spawn, until_ready

# Faults last seconds here: leases do as well.
SETTINGS: dict[str, object] = {
    "lease_seconds": 4,
    "reap_seconds": 0.2,
    "fallback_poll_seconds": 0.5,
    "lock_timeout_seconds": 4,
}


@dataclass(eq=False)
class Replica:
    """A service process; `database` is its own way to the server, `door` the one of its clients."""

    log: Path
    database: Proxy
    settings: dict[str, object]
    environ: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    door: Proxy = field(default_factory=lambda: Proxy(0))
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Past the door."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def door_url(self) -> str:
        return f"http://127.0.0.1:{self.door.port}"

    async def start(self) -> None:
        url = Postgres.url_at(self.database.port)
        self.process = spawn(
            self.log, self.settings | {"port": self.port, "database_url": url}, self.environ
        )
        await asyncio.to_thread(until_ready, self.process, self.url, self.log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def end(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, START_SECONDS)


@dataclass(eq=False)
class Stage:
    postgres: Postgres
    replicas: list[Replica]
    farm: Farm  # an operator's, past the doors
    chance: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    since: int = 0  # the entry of the history that was the last when this test began

    @property
    def urls(self) -> list[str]:
        return [replica.door_url for replica in self.replicas]

    async def ready(self, replica: Replica) -> bool:
        async with client(replica.url, timeout=10) as http:
            try:
                return (await http.get("/readyz")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

    async def until_ready(self) -> float:
        """Seconds until every replica says that it is ready."""
        since = time.monotonic()
        for replica in self.replicas:
            while not await self.ready(replica):
                await asyncio.sleep(0.05)
        return time.monotonic() - since

    async def metric(self, replica: Replica, name: str) -> float:
        async with client(replica.url) as http:
            lines = (await http.get("/metrics")).text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def heal(self) -> None:
        for replica in self.replicas:
            replica.door.heal()
            replica.database.heal()


@dataclass(frozen=True)
class Maker:
    cluster: Path
    home: Path
    logs: Path
    chance: random.Random

    @asynccontextmanager
    async def __call__(
        self,
        replicas: int = 2,
        *,
        data: Path | None = None,
        wal: Path | None = None,
        options: Sequence[str] = (),
        environs: Sequence[dict[str, str]] = (),
        **settings: Any,
    ) -> AsyncIterator[Stage]:
        """Services that are ready, each with its own proxies.

        The server keeps its `data` and its `wal` there, and has these `options` beside its own;
        the services have what `environs` adds to the environment of each.
        """
        async with AsyncExitStack() as stack:
            postgres = stack.enter_context(
                running(self.cluster, data or self.home / "data", wal=wal, options=options)
            )
            made = []
            for number, environ in zip(range(replicas), chain(environs, repeat({})), strict=False):
                way = await stack.enter_async_context(proxy(postgres.port))
                replica = Replica(self.logs / f"{number}.log", way, SETTINGS | settings, environ)
                replica.door = await stack.enter_async_context(proxy(replica.port))
                stack.push_async_callback(_ended, replica)
                made.append(replica)
            await asyncio.gather(*(replica.start() for replica in made))
            http = await stack.enter_async_context(client(made[0].url))
            yield Stage(postgres, made, Farm(http), self.chance)


async def _ended(replica: Replica) -> None:
    replica.door.heal()
    replica.database.heal()
    if replica.process is not None and replica.process.poll() is None:
        await replica.end()
