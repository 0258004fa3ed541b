"""Heartbeats of agents at work, sent by a process that has nothing else to do.

A process that holds 2,000 polls open as well sends them late, and would blame the service for it.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.clients import client

ROOT = Path(__file__).parents[2]


@dataclass
class Beats:
    """How many of each agent were answered: told once they have ended."""

    answered: dict[str, int] = field(default_factory=dict)


@asynccontextmanager
async def heartbeats(url: str, agents: Sequence[str], due: float) -> AsyncIterator[Beats]:
    """Of each of these agents, as often as the service wants them.

    Fails where one was not answered within `due` seconds, was refused, or told an agent to stop.
    """
    told = Beats()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.heartbeats", url, str(due), *agents),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield told
    finally:
        output, errors = await process.communicate(b"")  # its input is over, and so is it
    assert process.returncode == 0, errors.decode()
    told.answered |= json.loads(output)


async def _beat(url: str, due: float, agent: str, over: asyncio.Event) -> int:
    """Each heartbeat is answered before the next one is due."""
    answered = 0
    async with client(url, timeout=due) as http:
        while not over.is_set():
            said: Any = (await http.post(f"/agents/{agent}/heartbeat", json={})).raise_for_status()
            assert said.json()["stop"] == [], said.text
            answered += 1
            await asyncio.sleep(said.json()["heartbeat_seconds"])
    return answered


async def _send(url: str, due: float, agents: Sequence[str]) -> dict[str, int]:
    over = asyncio.Event()
    async with asyncio.TaskGroup() as beating:
        beats = {agent: beating.create_task(_beat(url, due, agent, over)) for agent in agents}
        await _end_of_input()
        over.set()
    return {agent: beat.result() for agent, beat in beats.items()}


async def _end_of_input() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_send(sys.argv[1], float(sys.argv[2]), sys.argv[3:]))))  # noqa: T201
