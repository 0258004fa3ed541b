"""Tasks that an agent died with: noted before they are begun, told as failed at the next start.

An agent that is started again within its lease is given the same work again, so that no lease is
lost: a task that kills its agent each time would never be counted otherwise. A machine that went
down is no fault of a task; what ran there goes on, or is lost with its lease.
"""

import contextlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from farmqueue.agent.patience import patiently
from farmqueue.agent.slot import Slot
from farmqueue.errors import FarmqueueError
from farmqueue.model import Result

# The start of the machine is told in wall time, which may have been set right meanwhile.
_CLOCK_STEP = 2.0  # seconds

ERROR = (
    "the agent was killed while it ran this, by the task or by somebody else (out of memory?);"
    " it was started again, and says so"
)


@dataclass(frozen=True)
class Cut:
    """What a slot was running when its agent died."""

    assignment_id: int
    tasks: Sequence[int]


def begin(state_dir: Path, slot: int, cut: Cut) -> None:
    """Note what a slot is about to run."""
    note = {"booted": psutil.boot_time(), "assignment": cut.assignment_id, "tasks": cut.tasks}
    with contextlib.suppress(OSError):
        _note(state_dir, slot).write_text(json.dumps(note), encoding="ascii")


def end(state_dir: Path, slot: int) -> None:
    """Note that it has ended, however it did, or that it was told."""
    with contextlib.suppress(OSError):
        _note(state_dir, slot).unlink()


def cut(state_dir: Path, slot: int) -> Cut | None:
    """What the slot was running when its agent died on a machine that lived on."""
    try:
        note = json.loads(_note(state_dir, slot).read_text(encoding="ascii"))
        if abs(psutil.boot_time() - note["booted"]) > _CLOCK_STEP:
            return None
        return Cut(int(note["assignment"]), [int(task) for task in note["tasks"]])
    except (OSError, ValueError, TypeError, KeyError):
        return None


async def own_up(slot: Slot) -> None:
    """Report what an agent of this slot died with as failed, as far as the service takes it."""
    place = slot.options.state_dir, slot.number
    if died := cut(*place):
        results = [Result(task_id=task, state="failed", error=ERROR) for task in died.tasks]
        about = {"assignment": died.assignment_id, "tasks": len(results)}
        try:
            await patiently(partial(slot.client.report, died.assignment_id, results), slot.say)
            slot.say("told what a killed agent was running", level=logging.WARNING, **about)
        except FarmqueueError as refusal:  # the work was taken back meanwhile
            slot.say("a killed agent's work is not its own any more", error=refusal, **about)
    end(*place)


def _note(state_dir: Path, slot: int) -> Path:
    return state_dir / f"slot-{slot}.tasks"
