"""One real service: clients that go away, and a service that goes away."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.farm import Farm
from tests.processes import embedded_service, running_service
from tests.tokens import ADMIN_TOKEN, AUTH


@pytest.fixture
def running(database: str, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """URL and process id of a service."""
    with running_service(database, tmp_path / "log", fallback_poll_seconds=3600) as found:
        yield found


@pytest.fixture
async def farm(running: tuple[str, int]) -> AsyncIterator[Farm]:
    async with httpx.AsyncClient(headers=AUTH, base_url=running[0], timeout=90) as client:
        yield Farm(client)


async def waiting(farm: Farm, polls: int) -> None:
    """Return when so many polls are held open."""
    while f"farmqueue_waiting_polls {polls}.0" not in (await farm.client.get("/metrics")).text:
        await asyncio.sleep(0.05)


async def send_poll(url: str, agent_id: str) -> asyncio.StreamWriter:
    """A poll whose answer nobody reads."""
    at = urlsplit(url)
    _, writer = await asyncio.open_connection(at.hostname, at.port)
    body = json.dumps({"agent_id": agent_id, "wait": 60}).encode()
    head = f"POST /assign HTTP/1.1\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
    head += f"Host: farm\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
    await writer.drain()
    return writer


async def test_a_connection_that_is_cut_leaves_no_poll_and_takes_no_work(
    farm: Farm, running: tuple[str, int]
) -> None:
    url, _ = running
    writers = []
    for number in range(10):
        agent = await farm.agent(f"a{number}")
        writers.append(await send_poll(url, agent["id"]))
    await waiting(farm, 10)
    for writer in writers:
        writer.close()
    await waiting(farm, 0)
    await farm.job("shot", tasks=10)
    assert (await farm.see_job("shot"))["assigned_agents"] == 0
    assert await farm.gets("a0") == "shot"


async def test_a_service_told_to_stop_answers_the_polls_that_wait(
    farm: Farm, running: tuple[str, int]
) -> None:
    _, pid = running
    for number in range(5):
        await farm.agent(f"a{number}")
    polls = [asyncio.create_task(farm.ask(f"a{number}", wait=60)) for number in range(5)]
    await waiting(farm, 5)
    os.kill(pid, signal.SIGTERM)
    assert {(await poll).status_code for poll in polls} == {204}


def test_an_embedded_database_keeps_to_its_folder_and_stops_with_its_service(
    tmp_path: Path,
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    data = private / "data"
    with embedded_service(data, tmp_path / "log") as process:
        assert private.stat().st_mode & 0o044 == 0
        assert (data / "postgres" / "postmaster.pid").exists()
        process.terminate()
        assert process.wait(60) == 0
        assert not (data / "postgres" / "postmaster.pid").exists()
