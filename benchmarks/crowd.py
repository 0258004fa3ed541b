"""A crowd of agents that come back in one second: a heartbeat and a poll of each.

It calls from a process of its own: who measures others beside it has a processor for that.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from time import perf_counter
from typing import NamedTuple

import pydantic_core
import uvloop

from benchmarks.client import Caller


class Told(NamedTuple):
    """Seconds until all had their answers, and calls that were refused or cut off before."""

    seconds: float
    refused: int


async def come_back(url: str, agent_ids: Sequence[str]) -> Told:
    """Have them come back, from another process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.crowd", url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate(pydantic_core.to_json(agent_ids))
    return Told(*pydantic_core.from_json(told))


async def _all(url: str, agent_ids: Sequence[str]) -> Told:
    began = perf_counter()

    async def one(place: int) -> int:
        await asyncio.sleep(place / len(agent_ids))
        caller = Caller(url, place)
        refused = await _persist(caller, f"/agents/{agent_ids[place]}/heartbeat", {})
        refused += await _persist(caller, "/assign", {"agent_id": agent_ids[place]})
        caller.close()
        return refused

    refused = await asyncio.gather(*map(one, range(len(agent_ids))))
    return Told(perf_counter() - began, sum(refused))


async def _persist(caller: Caller, path: str, body: object) -> int:
    """Call until it succeeds, as agents do; how often it was refused or cut off."""
    for refused in count():
        with suppress(OSError):
            if (await caller.call("POST", path, body)).status < HTTPStatus.BAD_REQUEST:
                return refused
        await asyncio.sleep(1)
    raise AssertionError("there is no end to counting")


if __name__ == "__main__":
    told = uvloop.run(_all(sys.argv[1], pydantic_core.from_json(sys.stdin.buffer.read())))
    sys.stdout.buffer.write(pydantic_core.to_json(told))
