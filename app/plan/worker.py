"""A process that thinks about the whole farm, so that the service itself goes on serving agents.

It reads questions from its input: each a line of JSON, and a body. Of an answer the first 8 bytes
are the length of the JSON that follows, and that tells the length of the rest. The process ends
with its input: who asked is gone.
"""

import asyncio
import gc
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, BinaryIO

import asyncpg

from app.db import schema
from app.db.engine import AWAY, connect
from app.errors import AppError, Unavailable
from app.plan.file import read
from app.plan.making import Asked, make
from app.plan.shares import shares_of, work_of
from app.scheduler import store

# Agents are served first, where there is not a processor for both.
NICE = 10

Answer = tuple[Mapping[str, Any], bytes]


def main() -> None:
    """Answer until the input ends."""
    os.nice(NICE)
    serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    while line := questions.readline():
        question = json.loads(line)
        body = questions.read(question.pop("length"))
        gc.disable()  # what one answer needs is made once, and thrown away whole
        told, content = asyncio.run(answered(question, body))
        gc.enable()
        gc.collect()
        head = json.dumps({**told, "length": len(content)}).encode()
        answers.write(len(head).to_bytes(8, "big") + head + content)
        answers.flush()


async def answered(question: Mapping[str, Any], body: bytes) -> Answer:
    """The answer to one question, errors of the farm among them."""
    try:
        if question["about"] == "shares":
            return await _shares(question)
        return await _plan(question, body)
    except AppError as refused:
        errors = [error.model_dump() for error in refused.errors]
        return {"refused": refused.detail, "status": refused.status, "errors": errors}, b""
    except AWAY as away:
        return {"refused": _away(away), "status": Unavailable.status, "errors": []}, b""
    except Exception:  # noqa: BLE001  # whatever it is, it goes into the log, and the process on
        traceback.print_exc()
        return {"failed": True}, b""


async def _plan(question: Mapping[str, Any], body: bytes) -> Answer:
    """The plan as the client gets it; with what carries it out."""
    file = read(body)
    async with _snapshot(question["url"]) as connection:
        plan, orders = await make(connection, file, Asked(**question["asked"]))
    return {"orders": asdict(orders)}, plan.model_dump_json().encode()


async def _shares(question: Mapping[str, Any]) -> Answer:
    """What each queue is entitled to, by id; the root by 0. One queue may have other settings."""
    async with _snapshot(question["url"]) as connection:
        queues = await store.queues(connection)
        work = await work_of(connection)
    other, settings = question["queue_id"], question["settings"]
    rows = [dict(row) | settings if row["id"] == other else row for row in queues]
    found = shares_of(rows, work, work.agents).entitled
    return {}, json.dumps({str(queue_id or 0): count for queue_id, count in found.items()}).encode()


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
