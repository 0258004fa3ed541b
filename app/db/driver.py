"""Connections of the driver's own, which need neither the engine nor the settings."""

import asyncio
import socket
from datetime import datetime
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg

from app.db.hosts import Hosts

# One number for the whole farm: whoever changes what may run, or who holds what, holds this lock.
FARM_LOCK = 0x6661726D  # "farm"

# Whoever holds it and says nothing for so long (ms) is thrown out by the server: else a machine
# that is gone in the middle of a transaction would have all others wait for as long as anybody may
# be idle. An item of the statement that takes the lock, for its transaction.
SILENT_HOLDER = "10000"
HOLDS_BRIEFLY = f"set_config('idle_in_transaction_session_timeout', '{SILENT_HOLDER}', true)"

# What the driver raises where the database is away; the last is of a connection that is cut between
# two statements, and of hosts that take no writes.
AWAY = (
    *(OSError, TimeoutError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError),
)

# Of a connection that says nothing: after 10 s it is asked, three times; what was sent is
# acknowledged within as long. Seconds, the last one in milliseconds.
_SILENCE = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 15_000,
}


# The same for the server's end: it would let a session of a machine that is gone hold its locks for
# two hours, where it was in the middle of a statement. (Where it was not, it is `SILENT_HOLDER`.)
# A statement: poolers refuse a connection that asks for this at its beginning.
ASK_WHO_IS_SILENT = """
SELECT set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('tcp_user_timeout', '15000', false)
"""


# Of each connection: the hosts that it is of, and which server it met there.
_MET: WeakKeyDictionary[asyncpg.Connection, tuple[Hosts, datetime]] = WeakKeyDictionary()
_SERVER = "SELECT pg_postmaster_start_time()"


async def connect(url: str, *, timeout: float = 10, **options: Any) -> asyncpg.Connection:  # noqa: ASYNC109
    """A connection of the driver's own, which reads sslmode and the like.

    Of several hosts each is tried for a part of the time, the one that was heard last first. The
    driver has one time for all: a machine that answers nothing would use it up.
    """
    hosts = Hosts.of(url.replace("postgresql+asyncpg://", "postgresql://", 1))
    for left in reversed(range(len(hosts.urls))):
        at = hosts.first
        try:
            return await _open(hosts, at, timeout / len(hosts.urls), options)
        except BaseException as failed:
            hosts.pass_by(at)  # also where who asked has no more patience
            if not left or not isinstance(failed, AWAY):
                raise
    raise AssertionError("there is always a host")


async def _open(
    hosts: Hosts, at: int, seconds: float, options: dict[str, Any]
) -> asyncpg.Connection:
    until = monotonic() + seconds
    found = await asyncpg.connect(hosts.urls[at], timeout=seconds, **options)
    try:
        notice_silence(found._transport)  # noqa: SLF001  # no other way to its socket
        hosts.server = await found.fetchval(_SERVER, timeout=max(until - monotonic(), 0.1))
    except BaseException:
        found.terminate()
        raise
    _MET[found] = hosts, hosts.server
    return found


def server_of(connection: asyncpg.Connection) -> datetime:
    """When its server was started: that tells one from all others."""
    return _MET[connection][1]


def was_left(connection: asyncpg.Connection) -> bool:
    """Whether another server was met since: this one may be a former primary that lives on."""
    hosts, server = _MET[connection]
    return hosts.server != server


def notice_silence(transport: asyncio.BaseTransport) -> None:
    """Have the kernel end the connection where the other machine is gone without a word.

    Else it would try again for a quarter of an hour, and whoever takes the connection with it.
    """
    where = transport.get_extra_info("socket")
    if where is None or where.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    where.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SILENCE.items():
        if hasattr(socket, name):  # not every system has each of them
            where.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
