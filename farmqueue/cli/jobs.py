"""`farmqueue jobs` and `farmqueue job …`: look at jobs, and act on them."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated, Any, cast

import typer

from farmqueue.cli.connection import connected
from farmqueue.cli.options import (
    AsJson,
    Maximum,
    Minimum,
    Priority,
    Url,
    Weight,
    given,
    turn_fields,
)
from farmqueue.cli.output import print_fields, print_json, print_rows
from farmqueue.cli.verbs import ShownByDefault
from farmqueue.client import Client
from farmqueue.model import Job, JobState, Spread, Task, TaskState

job = typer.Typer(cls=ShownByDefault, no_args_is_help=True)

JobId = Annotated[int, typer.Argument(metavar="ID")]
JobIds = Annotated[list[int], typer.Argument(metavar="ID...")]

_COLUMNS = ("id", "title", "queue", "state", "priority", "done", "tasks", "agents", "submitted")
_TASK_COLUMNS = ("id", "frame", "tile", "state", "attempts", "failures", "progress", "agent")
_FAILURES_SHOWN = 10


def jobs(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help="queued, paused, running, done or failed.")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="Only jobs of this queue, by path.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="No more than so many.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Jobs, by id: where they are, how far they are."""
    with connected(context, url) as client:
        found = list(islice(client.jobs(state=cast("JobState | None", state), queue=queue), limit))
    if as_json:
        print_json(found)
    else:
        print_rows(_COLUMNS, map(_row, found))


@job.command()
def show(
    context: typer.Context,
    job_id: JobId,
    tasks: Annotated[bool, typer.Option("--tasks", help="Each of its tasks instead.")] = False,
    state: Annotated[
        str | None, typer.Option(help="Of the tasks: waiting, running, done or failed.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """A job and why its tasks failed; `farmqueue job ID` does the same."""
    with connected(context, url) as client:
        if tasks or state:
            each = client.tasks(job_id, state=cast("TaskState | None", state))
            _print_tasks(each, as_json)
        else:
            found = client.job(job_id)
            failed = islice(client.tasks(job_id, state="failed"), _FAILURES_SHOWN)
            _print_details(found, list(failed) if found["tasks"]["failed"] else [], as_json)


@job.command("set")
def set_fields(
    context: typer.Context,
    job_id: JobId,
    title: Annotated[str | None, typer.Option(help="Its new title.")] = None,
    queue: Annotated[str | None, typer.Option(help="The queue it moves to; / is none.")] = None,
    priority: Priority = None,
    weight: Weight = None,
    minimum: Minimum = None,
    maximum: Maximum = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change a job; what is not named stays."""
    changes = turn_fields(priority, weight, minimum, maximum) | given(title=title, queue=queue)
    if not changes:
        raise typer.BadParameter("name what to change, for example --priority 10")
    _act(context, url, [job_id], as_json, lambda client, id_: client.change_job(id_, **changes))


@job.command()
def pause(
    context: typer.Context,
    job_ids: JobIds,
    stop: Annotated[bool, typer.Option("--stop", help="Take back what runs, at once.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give out nothing more of jobs; what runs may finish."""
    _act(context, url, job_ids, as_json, lambda client, id_: client.pause_job(id_, stop=stop))


@job.command()
def resume(
    context: typer.Context, job_ids: JobIds, url: Url = None, as_json: AsJson = False
) -> None:
    """Let paused jobs go on."""
    _act(context, url, job_ids, as_json, Client.resume_job)


@job.command()
def rerun(
    context: typer.Context,
    job_ids: JobIds,
    failed: Annotated[bool, typer.Option("--failed", help="Only the tasks that failed.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Do jobs again; tasks that run now are left alone."""
    _act(context, url, job_ids, as_json, Client.rerun_failed if failed else Client.rerun_job)


@job.command()
def delete(
    context: typer.Context, job_ids: JobIds, url: Url = None, as_json: AsJson = False
) -> None:
    """Delete jobs; what runs of them is stopped. --json prints their ids."""
    with connected(context, url) as client:
        for job_id in job_ids:
            client.delete_job(job_id)
    if as_json:
        print_json(job_ids)


def _act(
    context: typer.Context,
    url: str | None,
    job_ids: list[int],
    as_json: bool,
    action: Callable[[Client, int], Job],
) -> None:
    with connected(context, url) as client:
        changed = [action(client, job_id) for job_id in job_ids]
    if as_json:
        print_json(changed)
    else:
        print_rows(_COLUMNS, map(_row, changed))


def _row(found: Job) -> tuple[Any, ...]:
    return (
        found["id"],
        found["title"],
        found["queue"],
        found["state"],
        found["priority"],
        found["tasks"]["done"],
        sum(cast("dict[str, int]", found["tasks"]).values()),
        found["assigned_agents"],
        found["time_submitted"],
    )


def _print_details(found: Job, failed: list[Task], as_json: bool) -> None:
    if as_json:
        print_json({**found, "failed_tasks": failed})
    else:
        print_fields([*_fields(found), *_failures(failed)])


def _fields(found: Job) -> Iterator[tuple[str, Any]]:
    yield from (
        (name, found[name]) for name in ("id", "title", "queue", "state", "priority", "weight")
    )
    yield "minimum", found["minimum_agents"]
    yield "maximum", found["maximum_agents"]
    yield "agents", found["assigned_agents"]
    yield from found["tasks"].items()
    yield "frames", found["frames"]
    yield "batch", found["batch"]
    yield "needs", f"{found['cpus']} cpus, {found['ram']} MB"
    yield "required tags", found["required_tags"]
    yield "excluded tags", found["excluded_tags"]
    yield "why", found["reason"]
    yield "waits for", [f"{p['id']} ({p['state']})" for p in found["blocked_by"]]
    yield "submitted", found["time_submitted"]
    yield "started", found["time_started"]
    yield "finished", found["time_finished"]
    yield from _expected(found)


def _expected(found: Job) -> Iterator[tuple[str, Any]]:
    """Nothing of a job that is over, or of which nothing is known yet."""
    if found.get("position") is not None:
        yield "assignments ahead", found.get("position")
    estimate = found.get("estimate")
    if estimate:
        yield "next agent", _spread(estimate["start"])
        yield "expected end", _spread(estimate["finish"])
        yield "expected as of", estimate["as_of"]


def _spread(spread: Spread | None) -> str | None:
    return f"{spread['p50']} ({spread['p10']} to {spread['p90']})" if spread else None


def _failures(failed: list[Task]) -> Iterator[tuple[str, Any]]:
    for task in failed:
        where = f"frame {task['frame']} tile {task['tile']}"
        yield f"failed {where}", task["last_error"]


def _print_tasks(tasks: Iterator[Task], as_json: bool) -> None:
    if as_json:
        print_json(list(tasks))
    else:
        print_rows(_TASK_COLUMNS, map(_task_row, tasks))


def _task_row(task: Task) -> tuple[Any, ...]:
    return (
        task["id"],
        task["frame"],
        task["tile"],
        task["state"],
        task["attempts"],
        task["failures"],
        f"{task['progress']:.0%}",
        task["agent_id"],
    )
