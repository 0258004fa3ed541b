"""What an agent that was killed leaves running: the next start of it finds and ends it.

The restarted agent may get the very tasks that the orphan still works on.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil

from farmqueue.agent import family

# A process's start is told in wall time, which may have been set right meanwhile.
_CLOCK_STEP = 2.0  # seconds


@dataclass(frozen=True)
class Orphan:
    """The first process of a family that has no agent any more."""

    pid: int
    returncode: None = None


def remember(state_dir: Path, slot: int, pid: int) -> None:
    """Note which process a slot runs."""
    with contextlib.suppress(OSError, psutil.NoSuchProcess):
        started = psutil.Process(pid).create_time()
        _note(state_dir, slot).write_text(f"{pid} {started}\n", encoding="ascii")


def forget(state_dir: Path, slot: int) -> None:
    """Note that the process has ended, with all that it started."""
    with contextlib.suppress(OSError):
        _note(state_dir, slot).unlink()


async def end(state_dir: Path, slot: int, grace: float) -> bool:
    """End what the slot ran when its agent was killed; False where there is nothing to end."""
    orphan = _find(state_dir, slot)
    if orphan:
        await family.end(orphan, grace)
    forget(state_dir, slot)
    return orphan is not None


async def end_beyond(state_dir: Path, slots: int, grace: float) -> None:
    """The same for the slots that this agent process has no more."""
    for number in _noted(state_dir):
        if number >= slots:
            await end(state_dir, number, grace)


def _noted(state_dir: Path) -> list[int]:
    names = [note.stem.removeprefix("slot-") for note in state_dir.glob("slot-*.running")]
    return [int(name) for name in names if name.isdigit()]


def _find(state_dir: Path, slot: int) -> Orphan | None:
    try:
        pid, started = _note(state_dir, slot).read_text(encoding="ascii").split()
        # A process with that pid which began at another time is somebody else's.
        age_differs = abs(psutil.Process(int(pid)).create_time() - float(started)) > _CLOCK_STEP
    except psutil.NoSuchProcess:
        return Orphan(int(pid))  # gone itself; what it started may live on in its session
    except (OSError, ValueError):
        return None
    return None if age_differs else Orphan(int(pid))


def _note(state_dir: Path, slot: int) -> Path:
    return state_dir / f"slot-{slot}.running"
