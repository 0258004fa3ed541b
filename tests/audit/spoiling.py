"""A farm that is well, and ways to spoil it that the service would never take."""

from typing import Any

import asyncpg

from app.audit.findings import Check
from app.audit.service import audit
from tests.farm import Farm


async def spoil(database: str, *statements: str) -> None:
    """Change rows by hand, with no trigger and no foreign key in the way."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        await connection.execute("SET session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def look_up(database: str, query: str) -> Any:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def audited(database: str, *, history: bool) -> list[tuple[Check, str]]:
    """What is found at what."""
    found = await audit(database, history=history)
    return [(one.check, one.subject) for one in found.findings.kept]


async def build(farm: Farm) -> None:
    """Two levels of queues; of two jobs some tasks are done, failed, running and waiting."""
    await farm.queue("/films", maximum_agents=3)
    await farm.queue("/films/hero", maximum_agents=2)
    await farm.queue("/tv")
    await farm.job("shot", tasks=20, queue="/films/hero", batch=3, requeue=0)
    for hostname in ("a0", "a1", "a2"):
        await farm.agent(hostname)
    for hostname in ("a0", "a1"):
        await farm.assign(hostname)
    await farm.finish("a0")
    await farm.fail("a1")
    for hostname in ("a0", "a1"):
        assert await farm.gets(hostname) == "shot"
    await farm.job("still", tasks=2, queue="/tv", maximum_agents=1)
    assert await farm.gets("a2") == "still"
    half = farm.held["a0"]
    task = {"task_id": half["tasks"][0]["id"], "state": "done"}
    await farm.post(f"/assignments/{half['id']}/results", {"results": [task]})
