"""A process that thinks about the whole farm, so that the service itself goes on serving agents.

It reads questions from its input: each a line of JSON, and a body. Of an answer the first 8 bytes
are the length of the JSON that follows, and that tells the length of the rest. The process ends
with its input: who asked is gone.
"""

import asyncio
import gc
import json
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import Any, BinaryIO

import asyncpg

from app.db import schema
from app.db.driver import AWAY, connect
from app.errors import AppError, Unavailable
from app.plan.file import read
from app.plan.making import Asked, make
from app.plan.shares import shares_of, work_of
from app.scheduler import store
from app.simulation.confined import confine_memory, give_way

Answer = tuple[Mapping[str, Any], bytes]


class TooLong(BaseException):
    """One answer took all the time of the processor that it may; nothing on the way hears of it."""


def main() -> None:
    """Answer until the input ends; `memory_mb seconds nice`: what an answer may take, and when."""
    memory_mb, seconds, nice = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    give_way(nice)
    confine_memory(memory_mb)
    serve(sys.stdin.buffer, sys.stdout.buffer, seconds)


def serve(questions: BinaryIO, answers: BinaryIO, seconds: float) -> None:
    while line := questions.readline():
        question = json.loads(line)
        body = questions.read(question.pop("length"))
        gc.disable()  # what one answer needs is made once, and thrown away whole
        try:
            with _at_most(seconds):
                told, content = asyncio.run(answered(question, body))
        except (MemoryError, TooLong):
            told, content = {"too_large": True}, b""
        gc.enable()
        gc.collect()
        head = json.dumps({**told, "length": len(content)}).encode()
        answers.write(len(head).to_bytes(8, "big") + head + content)
        answers.flush()


async def answered(question: Mapping[str, Any], body: bytes) -> Answer:
    """The answer to one question, errors of the farm among them."""
    try:
        if question["about"] == "nothing":
            return {}, b""
        if question["about"] == "shares":
            return await _shares(question)
        return await _plan(question, body)
    except AppError as refused:
        errors = [error.model_dump() for error in refused.errors]
        return {"refused": refused.detail, "status": refused.status, "errors": errors}, b""
    except AWAY as away:
        return {"refused": _away(away), "status": Unavailable.status, "errors": []}, b""
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  # whatever it is, it goes into the log, and the process on
        traceback.print_exc()
        return {"failed": True}, b""


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """So much of the processor: how busy others are says nothing of what is asked."""
    if sys.platform == "win32":
        yield
        return
    signal.signal(signal.SIGPROF, _over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _over(*_: object) -> None:
    raise TooLong


async def _plan(question: Mapping[str, Any], body: bytes) -> Answer:
    """The plan as the client gets it; with what carries it out, if that is asked for."""
    file = read(body)
    async with _snapshot(question["url"]) as connection:
        plan, orders = await make(connection, file, Asked(**question["asked"]))
    told = {"orders": asdict(orders)} if question["about"] == "orders" else {}
    return told, plan.model_dump_json().encode()


async def _shares(question: Mapping[str, Any]) -> Answer:
    """What each queue is entitled to, by id; the root by 0. Then the same as if one were other."""
    async with _snapshot(question["url"]) as connection:
        queues = await store.queues(connection)
        work = await work_of(connection)
    farms = [queues]
    for other, settings in question["tried"]:
        farms.append([dict(row) | settings if row["id"] == other else row for row in queues])
    shares = [shares_of(rows, work, work.agents).entitled for rows in farms]
    told = [{queue_id or 0: count for queue_id, count in found.items()} for found in shares]
    return {}, json.dumps(told).encode()


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(url, server_settings={"application_name": "farmqueue plan"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            schema.check(await connection.fetchval(f"SELECT {schema.TOLD}"))
            yield connection
    finally:
        connection.terminate()


def _away(failed: BaseException) -> str:
    return f"the database is away or busy: {str(failed).split(chr(10))[0] or type(failed).__name__}"


if __name__ == "__main__":
    main()
