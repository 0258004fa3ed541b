"""Tasks that an agent died with: noted while they run, told as failed once it died with them twice.

An agent that is started again within its lease is given the same work again, so that no lease is
lost: a task that kills its agent each time would never be counted otherwise. One death may have
another cause, the task of another slot or whoever stops the agent: the work just goes on. A machine
that went down is no fault of a task either.
"""

import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from farmqueue.agent.patience import patiently
from farmqueue.agent.slot import Slot
from farmqueue.errors import FarmqueueError
from farmqueue.model import Result

# The start of the machine is told in wall time, which may have been set right meanwhile.
_CLOCK_STEP = 2.0  # seconds

# With the same tasks, since they last ended with the agent alive.
DEATHS = 2

ERROR = (
    "the agent was killed while it ran this, twice, by the task or by somebody else"
    " (out of memory?); it was started again, and says so"
)


@dataclass(frozen=True)
class Note:
    """What a slot runs, or ran before; `deaths` counts those of its agent, by what it ran."""

    assignment_id: int
    tasks: Sequence[int]
    running: bool
    deaths: Mapping[str, int]

    @property
    def key(self) -> str:
        return " ".join(map(str, self.tasks))

    def after_death(self) -> "Note":
        deaths = {**self.deaths, self.key: self.deaths.get(self.key, 0) + 1}
        return replace(self, running=False, deaths=deaths)

    def after_end(self) -> "Note":
        deaths = {key: count for key, count in self.deaths.items() if key != self.key}
        return replace(self, running=False, deaths=deaths)


def begin(state_dir: Path, slot: int, assignment_id: int, tasks: Sequence[int]) -> None:
    """Note what a slot is about to run."""
    before = noted(state_dir, slot)
    deaths = before.deaths if before else {}
    _write(state_dir, slot, Note(assignment_id, tasks, running=True, deaths=deaths))


def end(state_dir: Path, slot: int) -> None:
    """Note that it has ended, however it did, or that it was told."""
    before = noted(state_dir, slot)
    after = before and before.after_end()
    if after and after.deaths:
        _write(state_dir, slot, after)
    else:
        _forget(state_dir, slot)


def end_beyond(state_dir: Path, slots: int) -> None:
    """Forget what slots ran that this agent process has no more."""
    for note in state_dir.glob("slot-*.tasks"):
        number = note.stem.removeprefix("slot-")
        if number.isdigit() and int(number) >= slots:
            _forget(state_dir, int(number))


def noted(state_dir: Path, slot: int) -> Note | None:
    """What is noted of the slot; None where the machine itself was started since."""
    try:
        note = json.loads(_note(state_dir, slot).read_text(encoding="ascii"))
        if abs(psutil.boot_time() - note["booted"]) > _CLOCK_STEP:
            return None
        tasks = [int(task) for task in note["tasks"]]
        deaths = {str(key): int(count) for key, count in note["deaths"].items()}
        return Note(int(note["assignment"]), tasks, bool(note["running"]), deaths)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


async def tell_deaths(slot: Slot) -> None:
    """Count what an agent of this slot died with; report it as failed once that is often enough."""
    place = slot.options.state_dir, slot.number
    found = noted(*place)
    if found is None:
        _forget(*place)
    elif found.running:
        died = found.after_death()
        _write(*place, died)
        if died.deaths[died.key] >= DEATHS:
            await _report(slot, died)
            end(*place)


async def _report(slot: Slot, died: Note) -> None:
    """As far as the service takes it: the work may have been taken back meanwhile."""
    results = [Result(task_id=task, state="failed", error=ERROR) for task in died.tasks]
    about = {"assignment": died.assignment_id, "tasks": len(results)}
    try:
        await patiently(partial(slot.client.report, died.assignment_id, results), slot.say)
        slot.say("told what a killed agent was running", level=logging.WARNING, **about)
    except FarmqueueError as refusal:
        slot.say("a killed agent's work is not its own any more", error=refusal, **about)


def _write(state_dir: Path, slot: int, note: Note) -> None:
    told = {
        "booted": psutil.boot_time(),
        "assignment": note.assignment_id,
        "tasks": list(note.tasks),
        "running": note.running,
        "deaths": dict(note.deaths),
    }
    with contextlib.suppress(OSError):
        _note(state_dir, slot).write_text(json.dumps(told), encoding="ascii")


def _forget(state_dir: Path, slot: int) -> None:
    with contextlib.suppress(OSError):
        _note(state_dir, slot).unlink()


def _note(state_dir: Path, slot: int) -> Path:
    return state_dir / f"slot-{slot}.tasks"
