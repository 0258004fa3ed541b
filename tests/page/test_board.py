"""The board: what changed is told once, in order, to all that watch, and to nobody else."""

import asyncio
import json
import math
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.access import Role
from app.caller import Caller
from app.errors import Unavailable
from app.page import board as board_module
from app.page.board import Board, Rows
from app.page.sessions import Session
from app.scheduler.kept import KeptFarm
from tests.farm import Farm
from tests.page.visitor import HERE, visitor
from tests.processes import free_port, spawn, until_ready
from tests.tokens import ADMIN_TOKEN, made


@pytest.fixture
async def board(app: FastAPI, farm: Farm) -> Board:
    """Of a farm that was read."""
    await farm.queue("/films")
    while app.state.desk.kept is None:
        await asyncio.sleep(0.01)
    found: Board = app.state.board
    return found


def somebody() -> Session:
    return Session(b"", "", Caller(Role.VIEWER, "eve"), math.inf)


async def looked_at(board: Board, topic: str) -> None:
    """Until the board has looked for who was given a mark."""
    async with asyncio.timeout(60):
        while board.topics[topic].rows is None or board.topics[topic].expected:
            await asyncio.sleep(0.01)


async def marked(board: Board, topic: str) -> str:
    """A mark, once the board has looked as well."""
    while True:
        mark = board.mark(topic)
        await looked_at(board, topic)
        if mark == board._at(board.topics[topic]):  # nothing happened beside its look
            return mark


async def told(stream: AsyncIterator[bytes]) -> tuple[str, Any]:
    """The next event that says something: its name and data."""
    async with asyncio.timeout(60):
        async for sent in stream:
            fields = dict(
                line.split(": ", 1) for line in sent.decode().split("\n\n")[0].splitlines()
            )
            if "event" in fields:
                return fields["event"], json.loads(fields["data"])
    raise AssertionError("the stream ended")


async def until(stream: AsyncIterator[bytes], wanted: str) -> Any:
    """The data of the next change that has something of the wanted kind."""
    while True:
        name, data = await told(stream)
        assert name == "change"
        if wanted in data:
            return data[wanted]


@pytest.mark.parametrize(
    ("spent", "seconds"),
    [(0.001, board_module.LOOK_SECONDS), (0.1, 2.5), (60, board_module.LONGEST_SECONDS)],
)
def test_a_look_that_takes_long_is_followed_by_a_longer_pause_within_bounds(
    spent: float, seconds: float
) -> None:
    assert board_module.pause(spent) == pytest.approx(seconds)


async def test_what_others_do_while_a_look_waits_is_no_part_of_what_it_took(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(_kept: KeptFarm) -> Rows:
        return {}

    monkeypatch.setattr(board.topics["jobs"], "read", read)
    board.topics["jobs"].expected = True
    async with board._looking:
        looking = asyncio.create_task(board._look())
        await asyncio.sleep(0)
        began = time.thread_time()
        while time.thread_time() - began < 0.2:
            pass
    await looking
    assert board._spent < 0.1


async def test_a_change_is_told_with_the_row_as_it_is_now(board: Board, farm: Farm) -> None:
    stream = board.watch("queues", await marked(board, "queues"), somebody())
    await farm.job("shot", tasks=7, queue="/films")
    while True:
        rows = {row[0]: row for row in await until(stream, "rows")}
        waiting = {queue_id: row[3] for queue_id, row in rows.items()}
        if waiting.get(farm.queues["/films"]) == 7:
            break
    await stream.aclose()


async def test_what_changed_after_the_page_was_drawn_and_before_it_watched_is_told(
    board: Board, farm: Farm
) -> None:
    mark = await marked(board, "jobs")
    job = await farm.job("shot", tasks=2, queue="/films")
    stream = board.watch("jobs", mark, somebody())
    assert await until(stream, "new") == 1
    await farm.post(f"/jobs/{job['id']}/pause")
    [row] = await until(stream, "rows")
    assert row[:3] == [job["id"], "paused", 2]
    await farm.client.delete(f"/jobs/{job['id']}")
    assert await until(stream, "gone") == [job["id"]]
    await stream.aclose()


async def test_what_changes_during_the_first_look_has_the_page_load_anew(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = board.topics["jobs"]
    read = topic.read

    async def slowly(kept: KeptFarm) -> Rows:
        rows = await read(kept)
        board._desk.rounds += 1  # as a round that is over meanwhile
        return rows

    monkeypatch.setattr(topic, "read", slowly)
    mark = board.mark("jobs")
    await looked_at(board, "jobs")
    monkeypatch.setattr(topic, "read", read)
    stream = board.watch("jobs", mark, somebody())
    assert (await told(stream))[0] == "stale"
    await stream.aclose()


async def test_a_mark_is_given_without_a_look_at_the_farm(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: object) -> dict[int, int]:
        raise AssertionError("somebody waits for this")

    topic = board.topics["jobs"]
    monkeypatch.setattr(topic, "read", never)
    assert [board.mark("jobs") for _ in range(3)] == 3 * [f"{board._epoch}-{topic.number}"]


async def test_a_page_that_was_drawn_before_another_is_told_to_load_anew(
    board: Board, farm: Farm
) -> None:
    before = await marked(board, "jobs")
    job = await farm.job("shot", tasks=2, queue="/films")
    await board._desk.look()
    after = await marked(board, "jobs")
    first, second = (board.watch("jobs", mark, somebody()) for mark in (before, after))
    assert (await told(first))[0] == "stale"
    await farm.post(f"/jobs/{job['id']}/pause")
    for stream in (first, second):
        [row] = await until(stream, "rows")
        assert row[:3] == [job["id"], "paused", 2]
        await stream.aclose()


async def test_what_changed_before_the_board_looked_for_the_first_time_is_told(
    board: Board, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board._wanted, "set", lambda: None)  # it does not look for now
    mark = board.mark("jobs")
    await farm.job("shot", tasks=2, queue="/films")
    await board._desk.look()
    monkeypatch.undo()
    stream = board.watch("jobs", mark, somebody())
    assert (await told(stream))[0] == "stale"
    await stream.aclose()


async def test_a_job_is_told_with_all_that_a_list_shows(board: Board, farm: Farm) -> None:
    await farm.queue("/films/fx")
    parent = await farm.job("sim", requeue=0)
    job = await farm.job("shot", tasks=2, queue="/films", parents=[parent["id"]])
    await farm.agent("a0")
    stream = board.watch("jobs", await marked(board, "jobs"), somebody())

    async def becomes(*expected: object) -> None:
        while True:
            for row in await until(stream, "rows"):
                if row[0] == job["id"] and row[7:] == [*expected]:
                    return

    waits = f"waits for job {parent['id']}"
    await farm.patch(f"/jobs/{job['id']}", {"title": "shot 2"})
    await becomes("shot 2", "/films", 0, waits)
    await farm.set_job("shot", queue="/films/fx", priority=7)
    await becomes("shot 2", "/films/fx", 7, waits)
    await farm.set_queue("/films", name="shows")
    await becomes("shot 2", "/shows/fx", 7, waits)
    await farm.assign("a0")
    await farm.fail("a0")
    await becomes("shot 2", "/shows/fx", 7, f"{waits}, which failed")
    assert (await farm.see_job("shot"))["reason"] == f"{waits}, which failed"
    await stream.aclose()


async def test_agents_are_told_with_what_they_hold(board: Board, farm: Farm) -> None:
    await farm.agent("a0")
    await farm.job("shot", tasks=2, queue="/films", batch=2)
    stream = board.watch("agents", await marked(board, "agents"), somebody())
    await farm.assign("a0")
    [row] = await until(stream, "rows")
    assert row == [farm.agents["a0"], "online", farm.jobs["shot"], "shot", 2]
    await farm.set_agent("a0", state="disabled")
    [row] = await until(stream, "rows")
    assert row == [farm.agents["a0"], "disabled", None, None, 0]
    await stream.aclose()


async def test_all_that_watch_are_sent_the_same_bytes(board: Board, farm: Farm) -> None:
    mark = await marked(board, "jobs")
    streams = [board.watch("jobs", mark, somebody()) for _ in range(3)]
    heads = [await anext(stream) for stream in streams]
    await farm.job("shot", queue="/films")
    first, *others = [await anext(stream) for stream in streams]
    assert len(set(heads)) == 1
    assert all(other is first or other == first for other in others)
    for stream in streams:
        await stream.aclose()


async def test_who_falls_too_far_behind_is_told_to_load_anew(
    board: Board, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "KEPT_CHANGES", 2)
    slow = board.watch("jobs", await marked(board, "jobs"), somebody())
    await anext(slow)
    topic = board.topics["jobs"]
    for number in range(4):
        before = topic.number
        await farm.job(f"shot {number}", queue="/films")
        while topic.number == before:
            await asyncio.sleep(0.01)
    assert len(topic.log) == 2
    assert (await told(slow))[0] == "stale"
    await farm.job("one more", queue="/films")
    assert await until(slow, "new") == 1
    await slow.aclose()


@pytest.mark.parametrize("mark", ["", "another-1", "x", "-1"])
async def test_a_mark_of_another_process_means_to_load_anew(board: Board, mark: str) -> None:
    stream = board.watch("jobs", mark, somebody())
    assert (await told(stream))[0] == "stale"
    await stream.aclose()


async def test_a_stream_ends_with_its_session(board: Board) -> None:
    session = somebody()
    stream = board.watch("jobs", await marked(board, "jobs"), session)
    await anext(stream)
    session.caller.ended = True
    assert (await told(stream))[0] == "over"
    assert [sent async for sent in stream] == []


async def test_nobody_is_looked_for_who_does_not_watch(board: Board, farm: Farm) -> None:
    stream = board.watch("jobs", await marked(board, "jobs"), somebody())
    await anext(stream)
    assert board.viewers == 1
    await stream.aclose()
    assert board.viewers == 0
    number = board.topics["jobs"].number
    await farm.job("unseen", queue="/films")
    await asyncio.sleep(2 * board_module.LOOK_SECONDS)
    assert board.topics["jobs"].number == number


async def test_those_that_watch_hold_no_connection(board: Board, app: FastAPI) -> None:
    mark = await marked(board, "jobs")
    streams = [board.watch("jobs", mark, somebody()) for _ in range(30)]
    for stream in streams:
        await anext(stream)
    assert app.state.engine.pool.checkedout() <= 1  # the desk's
    for stream in streams:
        await stream.aclose()


async def test_one_more_than_may_watch_is_refused(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "MOST_VIEWERS", 1)
    first = board.watch("jobs", "", somebody())
    await anext(first)
    with pytest.raises(Unavailable):
        await anext(board.watch("jobs", "", somebody()))
    await first.aclose()


async def test_a_stop_of_the_service_lets_those_go_that_watch(
    database: str, tmp_path: Path
) -> None:
    port = free_port()
    settings = {"database_url": database.replace("+asyncpg", ""), "port": port}
    process = spawn(tmp_path / "log", settings)
    url = f"http://127.0.0.1:{port}"
    try:
        until_ready(process, url, tmp_path / "log")
        async with httpx.AsyncClient(base_url=url) as client:
            headers = HERE | {"Origin": url}
            await client.post("/page/login", data={"token": ADMIN_TOKEN}, headers=headers)
            async with client.stream("GET", "/page/live/queues") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                heard = stream.aiter_bytes()
                await anext(heard)
                process.send_signal(signal.SIGTERM)
                async for _ in heard:
                    pass
            process.wait(10)
    finally:
        process.kill()
    assert process.returncode == 0


async def test_who_may_not_read_hears_nothing(app: FastAPI, farm: Farm) -> None:
    guest = visitor(app)
    assert (await guest.get("/page/live/jobs", Accept="application/json")).status_code == 401
    token = await made(farm.client, "viewer")
    await guest.log_in(token)
    assert (await guest.get("/page/live/tokens")).status_code == 422
