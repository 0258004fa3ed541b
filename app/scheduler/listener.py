"""Hints of other replicas, over a connection of their own. A hint may be lost; the desk copes."""

import asyncio
from typing import Any

import structlog

from app import metrics
from app.db.driver import AWAY, connect, was_left
from app.db.engine import CHANNEL
from app.scheduler.desk import Desk

log = structlog.get_logger()

CONNECT_SECONDS = 10
HEARTBEAT_SECONDS = 10
RECONNECT_SECONDS = 1


async def listen(url: str, desk: Desk) -> None:
    """Stir the desk at every hint but its own; connect again for ever."""
    while True:
        try:
            await _listen_once(url, desk)
        except AWAY as lost:
            log.warning("listener_lost", error=str(lost), retry_seconds=RECONNECT_SECONDS)
        metrics.LISTENING.set(0)
        await asyncio.sleep(RECONNECT_SECONDS)


async def _listen_once(url: str, desk: Desk) -> None:
    connection = await connect(url, timeout=CONNECT_SECONDS)
    try:
        await connection.add_listener(CHANNEL, _heard(desk))
        metrics.LISTENING.set(1)
        desk.stir()  # whatever was said while nobody listened
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await connection.execute("SELECT 1", timeout=HEARTBEAT_SECONDS)
            if was_left(connection):
                raise ConnectionError("another server was met since")
    finally:
        connection.terminate()


def _heard(desk: Desk) -> Any:
    def heard(_connection: object, _pid: int, _channel: str, sender: str) -> None:
        if sender != desk.name:
            desk.stir()

    return heard
