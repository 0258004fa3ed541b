"""A process with all that it started: found, asked to end, and ended."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

import psutil

_LOOK_AGAIN = 0.05  # seconds
_DYING = 5.0  # seconds; one that the kernel holds in a device may take for ever

Members = set[psutil.Process]


class Leader(Protocol):
    """The first of a family; `returncode` is not None once its pid may be another's."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...


async def end(leader: Leader, grace: float) -> None:
    """End a process and everything it started: SIGTERM, then SIGKILL after `grace` seconds.

    Cancelled while it waits, it kills at once. A killed process is gone when the system comes to
    it, which is waited for. `leader` began a session of its own.
    """
    members = _family(leader)
    _each(members, psutil.Process.terminate)
    try:
        await _until_gone(members, grace)
    finally:
        killed = _kill(leader, members)
    await _until_gone(killed, _DYING)


def _kill(leader: Leader, members: Members) -> Members:
    killed: Members = set()
    # Until nobody new turns up: one may have been started while the others were being killed.
    while fresh := (_family(leader) | _alive(members)) - killed:
        _each(fresh, psutil.Process.kill)
        killed |= fresh
    return killed


def _family(leader: Leader) -> Members:
    """The living members of the leader's session, and descendants that have left it."""
    members = _session(leader.pid)
    # Once it has ended its pid may be another's, and its descendants are known by session only.
    if leader.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            head = psutil.Process(leader.pid)
            members |= {head, *head.children(recursive=True)}
    return _alive(members)


def _session(leader: int) -> Members:
    members: Members = set()
    for pid in psutil.pids():
        # What has ended since the list was made, or may not be looked at, is none of ours.
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if _is_in_session(pid, leader):
                members.add(psutil.Process(pid))
    return members


if sys.platform == "win32":

    def _is_in_session(_pid: int, _leader: int) -> bool:
        return False  # there are none: a family is known by descent alone

else:

    def _is_in_session(pid: int, leader: int) -> bool:
        return os.getsid(pid) == leader


def _alive(processes: Iterable[psutil.Process]) -> Members:
    return {process for process in processes if _lives(process)}


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _each(processes: Iterable[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            act(process)


async def _until_gone(processes: Members, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            # No event tells of the end of a process that is not our child.
            while _alive(processes):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AGAIN)
