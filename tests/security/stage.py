"""A farm over the app, for tests that are no coroutines: its own loop runs while it is asked."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import httpx
from pydantic import SecretStr

from app.audit.service import recount, snapshot
from app.main import create_app
from app.settings import Settings
from tests.conftest import SERVICE, as_role, fresh_database
from tests.farm import Farm
from tests.tokens import ADMIN_TOKEN, AUTH

Found = TypeVar("Found")

# Nobody is locked out for what is drawn, and nobody loses a lease on a slow machine.
SETTINGS = Settings(
    admin_token=SecretStr(ADMIN_TOKEN),
    failed_tokens_per_minute=1_000_000,
    lease_seconds=86_400,
    audit_seconds=0,
    estimates=False,
)


@dataclass(frozen=True)
class Stage:
    runner: asyncio.Runner
    client: httpx.AsyncClient  # carries no token
    database: asyncpg.Connection  # a superuser's
    farm: Farm  # the admin's

    def run(self, work: Coroutine[Any, Any, Found]) -> Found:
        return self.runner.run(work)

    def call(
        self, method: str, path: str, headers: dict[str, str], body: object = None
    ) -> httpx.Response:
        return self.run(self.client.request(method, path, headers=headers, json=body))

    def findings(self) -> list[Any]:
        """What the audit's recount finds."""
        return self.run(self._recount())

    async def _recount(self) -> list[Any]:
        async with snapshot(self.database):
            return (await recount(self.database, finished=True)).kept


@contextmanager
def stage(server: str) -> Iterator[Stage]:
    """A new database, and the app over it, as the role of the service."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stack = AsyncExitStack()
        try:
            yield runner.run(_built(server, stack, runner))
        finally:
            runner.run(stack.aclose())


async def _built(server: str, stack: AsyncExitStack, runner: asyncio.Runner) -> Stage:
    url = await stack.enter_async_context(fresh_database(server))
    database = await asyncpg.connect(url.replace("+asyncpg", ""))
    stack.push_async_callback(database.close)
    app = create_app(SETTINGS, as_role(url, SERVICE))
    await stack.enter_async_context(app.router.lifespan_context(app))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    plain = httpx.AsyncClient(transport=transport, base_url="http://farm")
    admin = httpx.AsyncClient(transport=transport, base_url="http://farm", headers=AUTH)
    for client in (plain, admin):
        await stack.enter_async_context(client)
    return Stage(runner, plain, database, Farm(admin))
