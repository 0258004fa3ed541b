"""`farmqueue watch`: follow jobs until they end."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Annotated, cast

import stamina
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from farmqueue.cli.connection import connected
from farmqueue.cli.exits import Exit, complain
from farmqueue.cli.options import AsJson, Url
from farmqueue.cli.output import for_people, print_json, print_rows
from farmqueue.client import Client
from farmqueue.errors import Unavailable
from farmqueue.model import Job

_AWAY_AT_MOST = 300.0  # seconds

Show = Callable[[Job], None]


def watch(
    context: typer.Context,
    job_ids: Annotated[list[int], typer.Argument(metavar="JOB...")],
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks.")] = 1.0,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Follow jobs until all have ended: exit code 0 when all are done, 1 when one failed.

    A job that waits for one that failed counts as failed. A service away for up to 5 minutes is
    waited for.
    """
    set_on_retry_hooks([_tell_away])
    with connected(context, url) as client, _display(as_json) as show:
        ended = _follow(client, list(dict.fromkeys(job_ids)), show, every)
    if as_json:
        print_json(ended)
    lost = [job for job in ended if job["state"] != "done"]
    for job in lost:
        complain(_why(job), f"`farmqueue job {job['id']}` tells more")
    if lost:
        raise typer.Exit(Exit.FAILED)


def _follow(client: Client, job_ids: list[int], show: Show, every: float) -> list[Job]:
    """The jobs as they ended, in the order asked for."""
    ended: dict[int, Job] = {}
    while True:
        for job_id in job_ids:
            if job_id not in ended:
                job = _look(client, job_id)
                show(job)
                if job["state"] in {"done", "failed"} or _failed_ancestor(client, job):
                    ended[job_id] = job
        if len(ended) == len(job_ids):
            return [ended[job_id] for job_id in job_ids]
        time.sleep(every)


def _look(client: Client, job_id: int) -> Job:
    patient = stamina.RetryingCaller(attempts=None, timeout=_AWAY_AT_MOST)
    return patient(Unavailable, client.job, job_id)


def _failed_ancestor(client: Client, job: Job) -> bool:
    """Whether it waits, through whatever other jobs that wait, for one that failed."""
    seen: set[int] = set()
    rest = list(job["blocked_by"])
    while rest:
        parent = rest.pop()
        if parent["state"] == "failed":
            return True
        if parent["state"] == "queued" and parent["id"] not in seen:
            seen.add(parent["id"])
            rest += _look(client, parent["id"])["blocked_by"]
    return False


def _why(job: Job) -> str:
    if job["state"] == "failed":
        return f"job {job['id']} failed: {job['tasks']['failed']} of {_total(job)} tasks"
    parents = ", ".join(str(parent["id"]) for parent in job["blocked_by"])
    return f"job {job['id']} will not run: it waits for {parents}, and a job before it failed"


def _total(job: Job) -> int:
    return sum(cast("dict[str, int]", job["tasks"]).values())


@contextlib.contextmanager
def _display(silent: bool) -> Iterator[Show]:
    if silent:
        yield lambda _: None
    elif for_people():
        with _bars() as show:
            yield show
    else:
        yield _lines()


@contextlib.contextmanager
def _bars() -> Iterator[Show]:
    columns = (
        TextColumn("{task.fields[job]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns) as progress:
        bars: dict[int, int] = {}

        def show(job: Job) -> None:
            if job["id"] not in bars:
                name = f"{job['id']} {job['title']}"
                bars[job["id"]] = progress.add_task("", total=_total(job), job=name, state="")
            agents = f", {job['assigned_agents']} agents" if job["assigned_agents"] else ""
            failed = f", {job['tasks']['failed']} failed" if job["tasks"]["failed"] else ""
            state = f"{job['state']}{agents}{failed}"
            bar = progress.tasks[bars[job["id"]]].id
            progress.update(bar, total=_total(job), completed=job["tasks"]["done"], state=state)

        yield show


def _lines() -> Show:
    """One line whenever a job has changed: id, state, tasks done, failed, in all."""
    last: dict[int, tuple[object, ...]] = {}

    def show(job: Job) -> None:
        tasks = job["tasks"]
        row = (job["id"], job["state"], tasks["done"], tasks["failed"], _total(job))
        if last.get(job["id"]) != row:
            last[job["id"]] = row
            print_rows((), [row])

    return show


def _tell_away(details: RetryDetails) -> None:
    if details.retry_num == 1:
        complain(f"{details.caused_by}; trying again")
