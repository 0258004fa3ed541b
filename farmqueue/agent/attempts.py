"""Tasks that an agent died with: noted while they run, told as failed once it died with them twice.

An agent that is started again within its lease is given the same work again, so that no lease is
lost: a task that kills its agent each time would never be counted otherwise. One death may have
another cause, the task of another slot or whoever stops the agent: the work just goes on. A machine
that went down is no fault of a task either.
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

# In a row, with the same tasks.
DEATHS = 2

ERROR = (
    "the agent was killed while it ran this, twice in a row, by the task or by somebody else"
    " (out of memory?); it was started again, and says so"
)


@dataclass(frozen=True)
class Attempt:
    """What a slot runs, or ran when its agent died with it the last time."""

    assignment_id: int
    tasks: Sequence[int]
    deaths: int = 0
    running: bool = True


def begin(state_dir: Path, slot: int, assignment_id: int, tasks: Sequence[int]) -> None:
    """Note what a slot is about to run."""
    before = noted(state_dir, slot)
    deaths = before.deaths if before and list(before.tasks) == list(tasks) else 0
    _write(state_dir, slot, Attempt(assignment_id, tasks, deaths))


def end(state_dir: Path, slot: int) -> None:
    """Note that it has ended, however it did, or that it was told."""
    with contextlib.suppress(OSError):
        _note(state_dir, slot).unlink()


def end_beyond(state_dir: Path, slots: int) -> None:
    """Forget what slots ran that this agent process has no more."""
    for note in state_dir.glob("slot-*.tasks"):
        number = note.stem.removeprefix("slot-")
        if number.isdigit() and int(number) >= slots:
            end(state_dir, int(number))


def noted(state_dir: Path, slot: int) -> Attempt | None:
    """What the slot runs, or ran before; None where the machine itself was started since."""
    try:
        note = json.loads(_note(state_dir, slot).read_text(encoding="ascii"))
        if abs(psutil.boot_time() - note["booted"]) > _CLOCK_STEP:
            return None
        tasks = [int(task) for task in note["tasks"]]
        return Attempt(int(note["assignment"]), tasks, int(note["deaths"]), bool(note["running"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


async def tell_deaths(slot: Slot) -> None:
    """Count what an agent of this slot died with; report it as failed once that is often enough."""
    place = slot.options.state_dir, slot.number
    found = noted(*place)
    if found is None:
        end(*place)
    elif found.running and found.deaths + 1 >= DEATHS:
        await _report(slot, found)
        end(*place)
    elif found.running:
        _write(*place, Attempt(found.assignment_id, found.tasks, found.deaths + 1, running=False))


async def _report(slot: Slot, died: Attempt) -> None:
    """As far as the service takes it: the work may have been taken back meanwhile."""
    results = [Result(task_id=task, state="failed", error=ERROR) for task in died.tasks]
    about = {"assignment": died.assignment_id, "tasks": len(results)}
    try:
        await patiently(partial(slot.client.report, died.assignment_id, results), slot.say)
        slot.say("told what a killed agent was running", level=logging.WARNING, **about)
    except FarmqueueError as refusal:
        slot.say("a killed agent's work is not its own any more", error=refusal, **about)


def _write(state_dir: Path, slot: int, attempt: Attempt) -> None:
    note = {
        "booted": psutil.boot_time(),
        "assignment": attempt.assignment_id,
        "tasks": list(attempt.tasks),
        "deaths": attempt.deaths,
        "running": attempt.running,
    }
    with contextlib.suppress(OSError):
        _note(state_dir, slot).write_text(json.dumps(note), encoding="ascii")


def _note(state_dir: Path, slot: int) -> Path:
    return state_dir / f"slot-{slot}.tasks"
