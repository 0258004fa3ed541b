"""From an assignment to command lines: what is run for which tasks, with which environment."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from farmqueue.model import AssignedTask, Assignment

Group = Sequence[AssignedTask]

# What may follow a placeholder's colon. Anything that format() takes could take all memory too.
_FORM = re.compile(r"0?\d{0,2}(d|\.\d{1,2}f)?")
_SHOWN = 80  # characters of a word in an error


class BadCommand(Exception):
    """The job does not say what to run, or says it wrongly; the message is for its owner."""


@dataclass(frozen=True)
class Command:
    """One process to run; `timeout` in seconds, None: no limit."""

    argv: list[str]
    environ: dict[str, str]
    cwd: str | None = None
    timeout: float | None = None


def groups(assignment: Assignment) -> list[Group]:
    """The tasks as they are run: one by one, or all in one process where `data.per` is "batch"."""
    per = _data(assignment).get("per", "task")
    if per not in {"task", "batch"}:
        raise BadCommand(f'data.per is {per!r}: it must be "task" or "batch"')
    tasks = assignment["tasks"]
    return [tasks] if per == "batch" else [[task] for task in tasks]


def command(assignment: Assignment, group: Group, own: Mapping[str, str]) -> Command:
    """What to run for the tasks of a group; `own` are the agent's FARMQUEUE_* variables.

    Raises BadCommand.
    """
    data = _data(assignment)
    return Command(
        argv=_argv(data, placeholders(assignment, group)),
        environ=_environ(assignment, group, own),
        cwd=_cwd(data),
        timeout=_timeout(data),
    )


def placeholders(assignment: Assignment, group: Group) -> dict[str, Any]:
    """What a command may name in braces; `frame`, `tile`, `task_id` are those of the first task."""
    frames = list(dict.fromkeys(_number(task["frame"]) for task in group))
    return {
        "frame": frames[0],
        "first": frames[0],
        "last": frames[-1],
        "frames": ",".join(str(frame) for frame in frames),
        "tasks": ",".join(f"{_number(task['frame'])}:{task['tile']}" for task in group),
        "count": len(group),
        "tile": group[0]["tile"],
        "task_id": group[0]["id"],
        "job_id": assignment["job"]["id"],
    }


def _data(assignment: Assignment) -> dict[str, Any]:
    data = assignment["job"]["data"]
    if not isinstance(data, dict) or "command" not in data:
        raise BadCommand(
            'the job has no data.command: submit it with data {"command": ["program", "argument"]}'
        )
    return data


def _argv(data: dict[str, Any], values: dict[str, Any]) -> list[str]:
    words = data["command"]
    if not isinstance(words, list) or not words:
        raise BadCommand('data.command must be a list such as ["render", "{frame}"]')
    return [_filled(index, word, values) for index, word in enumerate(words)]


def _filled(index: int, word: Any, values: dict[str, Any]) -> str:
    """A word with its placeholders replaced; `{frame:04d}` pads, `{{` is a literal brace."""
    where = f"data.command[{index}]"
    if not isinstance(word, str):
        raise BadCommand(f"{where} is {word!r}: it must be a string")
    try:
        return "".join(_pieces(word, values))
    except ValueError as error:
        shown = word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…"
        raise BadCommand(f"{where} {shown!r}: {error}; a literal brace is written twice") from None


def _pieces(word: str, values: dict[str, Any]) -> list[str]:
    pieces = []
    for text, name, form, conversion in Formatter().parse(word):
        pieces.append(text)
        if name is None:
            continue
        if name not in values or conversion:
            known = ", ".join(f"{{{value}}}" for value in values)
            raise ValueError(f"no placeholder {{{name}}}, there are {known}")
        if not _FORM.fullmatch(form or ""):
            raise ValueError(f"{{{name}:{form}}} is no padding: write it like {{frame:04d}}")
        pieces.append(format(values[name], form or ""))
    return pieces


def _environ(assignment: Assignment, group: Group, own: Mapping[str, str]) -> dict[str, str]:
    # The agent's own settings stay with it: its token is no business of the jobs that it runs.
    host = {name: value for name, value in os.environ.items() if not name.startswith("FARMQUEUE_")}
    values = placeholders(assignment, group)
    farm = {
        "FARMQUEUE_JOB_ID": values["job_id"],
        "FARMQUEUE_JOB_TITLE": assignment["job"]["title"],
        "FARMQUEUE_QUEUE": assignment["job"]["queue"] or "/",
        "FARMQUEUE_ASSIGNMENT_ID": assignment["id"],
        "FARMQUEUE_TASK_ID": values["task_id"],
        "FARMQUEUE_FRAME": values["frame"],
        "FARMQUEUE_FRAMES": values["frames"],
        "FARMQUEUE_TASKS": values["tasks"],
        "FARMQUEUE_TILE": values["tile"],
        "FARMQUEUE_ATTEMPT": group[0]["attempt"],
        "FARMQUEUE_CPUS": assignment["job"]["cpus"],
        "FARMQUEUE_RAM": assignment["job"]["ram"],
    }
    # Python programs hold back what they print into a pipe, progress too, unless told otherwise.
    return (
        {"PYTHONUNBUFFERED": "1"}
        | host
        | {name: str(value) for name, value in assignment["job"]["environ"].items()}
        | {name: str(value) for name, value in farm.items()}
        | dict(own)
    )


def _cwd(data: dict[str, Any]) -> str | None:
    cwd = data.get("cwd")
    if cwd is not None and not isinstance(cwd, str):
        raise BadCommand(f"data.cwd is {cwd!r}: it must be a directory's path")
    return cwd


def _timeout(data: dict[str, Any]) -> float | None:
    timeout = data.get("timeout")
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        raise BadCommand(f"data.timeout is {timeout!r}: it must be a number of seconds above 0")
    return float(timeout)


def _number(frame: float) -> int | float:
    """A frame as people write it: 7, not 7.0."""
    return int(frame) if frame == int(frame) else frame
