"""`farmqueue submit`: a job from options, or jobs from a file."""

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

import stamina
import typer

from farmqueue import calls
from farmqueue.cli import submit_options as option
from farmqueue.cli.connection import connected
from farmqueue.cli.options import (
    AsJson,
    Maximum,
    Minimum,
    Priority,
    Url,
    Weight,
    given,
    pairs,
    turn_fields,
)
from farmqueue.cli.output import print_json
from farmqueue.client import Client
from farmqueue.errors import Unavailable
from farmqueue.model import Job

Fields = dict[str, Any]
Answer = TypeVar("Answer")

ATTEMPTS = 4
PATIENCE = 30  # seconds


def submit(
    context: typer.Context,
    title: option.Title = None,
    command: option.Command = None,
    file: option.File = None,
    queue: option.Queue = None,
    frames: option.Frames = None,
    start: option.Start = None,
    end: option.End = None,
    by: option.By = None,
    tiles: option.Tiles = None,
    batch: option.Batch = None,
    contiguous: option.Contiguous = None,
    per: option.Per = None,
    priority: Priority = None,
    weight: Weight = None,
    minimum: Minimum = None,
    maximum: Maximum = None,
    requeue: option.Requeue = None,
    parent: option.Parent = None,
    env: option.Env = None,
    cwd: option.Cwd = None,
    timeout: option.Timeout = None,
    tag: option.Tag = None,
    exclude_tag: option.ExcludeTag = None,
    cpus: option.Cpus = None,
    ram: option.Ram = None,
    paused: option.Paused = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a job and print its id; with no frames it is one task.

    Example: farmqueue submit shot010 -q /films --frames 1-100 --batch 5 -- render --frame {frame}
    """
    fields = given(title=title, queue=queue, num_tiles=tiles, requeue=requeue, parents=parent)
    fields |= given(frames=frames, start=_whole(start), end=_whole(end), by=_whole(by))
    fields |= given(cpus=cpus, ram=ram, required_tags=tag, excluded_tags=exclude_tag)
    fields |= given(batch=batch, batch_contiguous=contiguous, paused=paused or None)
    fields |= given(environ=pairs(env or (), "--env"))
    fields |= turn_fields(priority, weight, minimum, maximum)
    data = given(command=command, per=per, cwd=cwd, timeout=timeout)
    jobs = _from_file(file, fields, data) if file else _from_options(fields, data)
    with connected(context, url) as client:
        _print(_send(client, jobs), as_json)


def _from_options(fields: Fields, data: Fields) -> Fields:
    if "title" not in fields:
        raise typer.BadParameter("a job needs a title", param_hint="TITLE")
    if "command" not in data:
        raise typer.BadParameter("say after -- what to run", param_hint="COMMAND")
    span = {} if {"frames", "start", "end"} & fields.keys() else {"frames": "1"}
    return {**span, **fields, "data": data}


def _from_file(file: str, fields: Fields, data: Fields) -> Fields | list[Fields]:
    """The job of a file, or its list of jobs, however short.

    What the command line names is added to a job, or replaces it there; a list takes no options.
    """
    found = _jobs_in(_read(file))
    if isinstance(found, dict):
        return {**found, **fields, **_merged(found.get("data") or {}, data)}
    if fields or data:
        raise typer.BadParameter("a list of jobs takes no other options", param_hint="--file")
    return found


def _merged(old: Any, data: Fields) -> Fields:
    if not data:
        return {}
    if not isinstance(old, dict):
        raise typer.BadParameter("the job's data is no object to add to", param_hint="--file")
    return {"data": {**old, **data}}


def _read(file: str) -> Any:
    try:
        content = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text("utf-8"))
        # Python reads NaN, 1e999 and halves of a character, none of which can be sent on.
        json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="--file") from None
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}", param_hint="--file") from None
    return content


def _jobs_in(content: Any) -> Fields | list[Fields]:
    if isinstance(content, dict) and "jobs" not in content:
        return content
    jobs = content["jobs"] if isinstance(content, dict) else content
    if not isinstance(jobs, list) or not jobs or not all(isinstance(job, dict) for job in jobs):
        raise typer.BadParameter("a job is an object, jobs are a list of such", param_hint="--file")
    return jobs


def _send(client: Client, jobs: Fields | list[Fields]) -> Job | list[Job]:
    """Submit a job, or all jobs of a list at once; a list is answered by a list."""
    if isinstance(jobs, list):
        return _again(client, calls.submit_all(jobs))["items"]
    return _again(client, calls.submit(jobs.pop("title", ""), **jobs))


def _again(client: Client, call: calls.Call[Answer]) -> Answer:
    """Send it until it is answered, a few times: its key lets the service know it again."""
    for attempt in stamina.retry_context(on=Unavailable, attempts=ATTEMPTS, timeout=PATIENCE):
        with attempt:
            return client.send(call)
    raise AssertionError("the last attempt raises or returns")


def _print(submitted: Job | list[Job], as_json: bool) -> None:
    if as_json:
        print_json(submitted)
        return
    jobs = submitted if isinstance(submitted, list) else [submitted]
    sys.stdout.writelines(f"{job['id']}\n" for job in jobs)


def _whole(number: float | None) -> float | None:
    """A number as people write it: 7, not 7.0."""
    return int(number) if number is not None and number.is_integer() else number
