"""Who an agent is: an id kept in the state directory, so that a restart is the same agent."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4


class StateDirInUse(Exception):
    """Another agent process lives in this state directory."""


def default_state_dir() -> Path:
    """Where programs of this user keep such things on this system."""
    home = Path.home()
    if sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        place = home / "Library" / "Application Support"
    else:
        place = Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    return place / "farmqueue"


@contextlib.contextmanager
def claimed(state_dir: Path) -> Iterator[None]:
    """Hold the state directory for this process: two agents with one id would share one lease.

    Raises StateDirInUse, and OSError where the directory cannot be written.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a+b") as lock:
        try:
            _lock(lock.fileno())
        except (BlockingIOError, PermissionError):
            raise StateDirInUse(
                f"another agent process uses {state_dir}: give this one its own --state-dir,"
                " or start one process with --slots N"
            ) from None
        yield


def known_id(state_dir: Path, slot: int) -> str:
    """The id that a slot had before, or a new one."""
    with contextlib.suppress(OSError, ValueError):
        return str(UUID(_id_file(state_dir, slot).read_text(encoding="ascii").strip()))
    return str(uuid4())


def keep_id(state_dir: Path, slot: int, agent_id: str) -> None:
    """Keep the id of a slot for the next start."""
    kept = _id_file(state_dir, slot)
    fresh = kept.with_suffix(".new")
    fresh.write_text(f"{agent_id}\n", encoding="ascii")
    fresh.replace(kept)


def known_token(state_dir: Path, slot: int) -> str | None:
    """The token that a slot had before."""
    with contextlib.suppress(OSError, ValueError):
        return _token_file(state_dir, slot).read_text(encoding="ascii").strip() or None
    return None


def keep_token(state_dir: Path, slot: int, token: str) -> None:
    """Keep the token of a slot for the next start, for this user's eyes alone."""
    kept = _token_file(state_dir, slot)
    fresh = kept.with_suffix(".new")
    fresh.unlink(missing_ok=True)  # a mode is given only to a file that is made
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as out:
        out.write(f"{token}\n")
    fresh.replace(kept)


def _token_file(state_dir: Path, slot: int) -> Path:
    return state_dir / f"slot-{slot}.token"


def _id_file(state_dir: Path, slot: int) -> Path:
    return state_dir / f"slot-{slot}.id"


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
