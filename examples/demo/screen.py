"""The farm on the terminal: a table that lives, or plain lines where the output is no terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from examples.demo.processes import Child
from examples.demo.watching import Look, Work, looks, queues_below
from farmqueue.client import Client
from farmqueue.model import Job, QueueNode

_STATES = {"done": "green", "running": "cyan", "failed": "bold red", "queued": "yellow"}


def follow(client: Client, job_ids: list[int], children: list[Child]) -> list[Job]:
    """Show the farm until all these jobs have ended, and give them as they ended.

    DemoFailed when one of the children ends first.
    """
    console = Console()
    if not console.is_terminal:
        return _shown(client, job_ids, children, Lines().show)
    with Live(console=console, auto_refresh=False) as live:
        return _shown(
            client, job_ids, children, lambda look: live.update(table(look), refresh=True)
        )


def _shown(
    client: Client, job_ids: list[int], children: list[Child], show: Callable[[Look], None]
) -> list[Job]:
    for look in looks(client, job_ids):
        show(look)
        for child in children:
            child.must_live()
    return look.jobs


def table(look: Look) -> Table:
    """The queue tree with its jobs: who has how many agents, what they do, how far it is."""
    grid = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="")
    grid.title = f"[bold]farmqueue[/]  {_totals(look)}"
    for heading in ("queue, job", "rule, work", "agents", "done", ""):
        grid.add_column(heading, no_wrap=True)
    for depth, queue in queues_below(look.root):
        _add_queue(grid, depth, queue)
        for job in look.jobs:
            if job["queue"] == queue["fullpath"]:
                _add_job(grid, depth + 1, job, look.work.get(job["id"], []))
    return grid


def _add_queue(grid: Table, depth: int, queue: QueueNode) -> None:
    grid.add_row(
        Text(f"{'  ' * depth}/{queue['name']}", "bold"),
        Text(rule(queue), "dim"),
        Text("●" * queue["assigned_agents"], "cyan"),
    )


def _add_job(grid: Table, depth: int, job: Job, work: list[Work]) -> None:
    tasks = job["tasks"]
    total = sum((tasks["waiting"], tasks["running"], tasks["done"], tasks["failed"]))
    finished = tasks["done"] + sum(each.tasks * each.progress for each in work)
    colour = _STATES.get(job["state"], "")
    grid.add_row(
        Text(f"{'  ' * depth}{job['title']}", colour),
        Text(_at_work(job, work), "" if work else colour),
        Text("●" * job["assigned_agents"], "cyan"),
        ProgressBar(total, finished, width=10, complete_style="cyan"),
        f"{tasks['done']}/{total}",
    )


def rule(queue: QueueNode) -> str:
    """What sets this queue apart from its siblings."""
    words = [f"weight {queue['weight']}"]
    if queue["priority"]:
        words.append(f"priority {queue['priority']}")
    if queue["minimum_agents"]:
        words.append(f"min {queue['minimum_agents']}")
    if queue["maximum_agents"] is not None:
        words.append(f"max {queue['maximum_agents']}")
    return ", ".join(words)


def _at_work(job: Job, work: list[Work]) -> str:
    if work:
        return "  ".join(f"#{each.agent}: {each.frames}" for each in work)
    if blocking := len(job["blocked_by"]):
        return f"waits for {blocking} job{'s' if blocking > 1 else ''}"
    return job["state"]


def _totals(look: Look) -> str:
    counts = [job["tasks"] for job in look.jobs]
    waiting, running = (sum(count[state] for count in counts) for state in ("waiting", "running"))
    done, failed = (sum(count[state] for count in counts) for state in ("done", "failed"))
    words = f"{look.seconds:.0f} s, tasks: {waiting} waiting, {running} running, {done} done"
    return f"{words}, {failed} failed" if failed else words


class Lines:
    """Plain output: a line when the share of a queue changes, and when a job's state does."""

    def __init__(self) -> None:
        self._states: dict[int, str] = {}
        self._shares = ""

    def show(self, look: Look) -> None:
        shares = _shares(look.root)
        if shares != self._shares:
            self._shares = shares
            print(f"{_totals(look)}; agents: {shares or 'none'}", flush=True)
        for job in look.jobs:
            if self._states.get(job["id"]) != job["state"]:
                self._states[job["id"]] = job["state"]
                print(f"job {job['id']} {job['title']!r} is {job['state']}", flush=True)


def _shares(root: QueueNode) -> str:
    """The agents of each queue that is a leaf and has any."""
    return ", ".join(
        f"{queue['assigned_agents']} in {queue['fullpath']}"
        for _, queue in queues_below(root)
        if queue["assigned_agents"] and not queue["children"]
    )
