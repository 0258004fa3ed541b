"""`farmqueue watch`: follow jobs until they end."""

import contextlib
import math
import sys
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
from farmqueue.cli.output import for_people, harmless, print_json, print_rows
from farmqueue.client import Client
from farmqueue.errors import Unavailable
from farmqueue.model import Job

_AWAY_AT_MOST = 300.0  # seconds
_PATIENCE = 10.0  # seconds without an answer, after which it is asked again

# Of a job that waits for others these are looked at, for one part in so many of the time.
_SPARING = 10

Show = Callable[[Job], None]


def watch(
    context: typer.Context,
    job_ids: Annotated[list[int], typer.Argument(metavar="JOB...")],
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks.")] = 1.0,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Give up after so many seconds, with exit code 1.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Follow jobs until all have ended: exit code 0 when all are done, 1 when one failed.

    A job that waits for one that failed counts as failed. A service away for up to 5 minutes is
    waited for. A job that no agent may take is watched for ever, unless --timeout says how long.
    """
    set_on_retry_hooks([_tell_away])
    until = math.inf if timeout is None else time.monotonic() + timeout
    with connected(context, url, timeout=_PATIENCE) as client, _display(as_json) as show:
        ended = _follow(client, list(dict.fromkeys(job_ids)), show, every, until)
    if as_json:
        print_json(ended)
    lost = [job for job in ended if job["state"] != "done"]
    for job in lost:
        complain(_why(job), f"`farmqueue job {job['id']}` tells more")
    if lost:
        raise typer.Exit(Exit.FAILED)


def _follow(
    client: Client, job_ids: list[int], show: Show, every: float, until: float
) -> list[Job]:
    """The jobs as they ended, in the order asked for."""
    ended: dict[int, Job] = {}
    ancestors = _Ancestors(client)
    while True:
        for job_id in job_ids:
            if job_id not in ended:
                job = _look(client, job_id, until)
                show(job)
                if job["state"] in {"done", "failed"} or ancestors.failed(job):
                    ended[job_id] = job
        if len(ended) == len(job_ids):
            return [ended[job_id] for job_id in job_ids]
        if time.monotonic() + every > until:
            left = ", ".join(str(job_id) for job_id in job_ids if job_id not in ended)
            complain(f"time is up, and these have not ended: {left}")
            raise typer.Exit(Exit.FAILED)
        time.sleep(every)


def _look(client: Client, job_id: int, until: float = math.inf) -> Job:
    away = max(min(_AWAY_AT_MOST, until - time.monotonic()), 0.1)
    patient = stamina.RetryingCaller(attempts=None, timeout=away)
    return patient(Unavailable, client.job, job_id)


class _Ancestors:
    """What jobs wait for: many calls where the chain is long, so it is not looked at every time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._next: dict[int, float] = {}

    def failed(self, job: Job) -> bool:
        began = time.monotonic()
        if began < self._next.get(job["id"], 0):
            return False
        found = _failed_ancestor(self._client, job)
        now = time.monotonic()
        self._next[job["id"]] = now + (now - began) * _SPARING
        return found


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
                name = harmless(f"{job['id']} {job['title']}")
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
            sys.stdout.flush()  # whoever reads the pipe hears of it now, not at the end

    return show


def _tell_away(details: RetryDetails) -> None:
    if details.retry_num == 1:
        complain(f"{details.caused_by}; trying again")
