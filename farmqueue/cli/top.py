"""`farmqueue top` and `farmqueue tree`: the tree with its agents, live or once."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from farmqueue.cli.connection import connected, queue_id
from farmqueue.cli.exits import complain
from farmqueue.cli.keys import keys
from farmqueue.cli.options import AsJson, Url
from farmqueue.cli.output import for_people, print_json, print_rows
from farmqueue.cli.screen import Row, heading, layout_for, line, rows_of
from farmqueue.cli.view import View
from farmqueue.client import Client
from farmqueue.errors import FarmqueueError, Unavailable
from farmqueue.model import QueueNode

Path = Annotated[
    str | None, typer.Argument(metavar="[PATH]", help="Only this queue and all below.")
]
Look = Callable[[], QueueNode]

# A service that does not answer so long is away, as far as somebody who looks at it cares.
_PATIENCE = 10.0
_STEP = 0.25  # seconds, after which a new size of the window is noticed


def tree(
    context: typer.Context, path: Path = None, url: Url = None, as_json: AsJson = False
) -> None:
    """The tree once: agents and shares in bars for people, lines with tabs for programs.

    A line is: path, agents, entitled, minimum, maximum, waiting, running, priority, weight, paused.
    """
    with connected(context, url) as client:
        found = client.tree(_root(client, path))
    if as_json:
        print_json(found)
    elif for_people():
        _print(found)
    else:
        _print_lines(found)


def top(
    context: typer.Context,
    path: Path = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The tree as it changes: agents at work, with marks for minimum, share and maximum.

    In a bar, [ is the minimum, | what the queue is entitled to, ] its maximum. Into a pipe it
    prints what `farmqueue tree` prints, again and again, with an empty line after each.
    """
    if once:
        tree(context, path, url, as_json)
        return
    with connected(context, url, timeout=_PATIENCE) as client:
        root = _root(client, path)

        def look() -> QueueNode:
            return client.tree(root)

        if for_people() and not as_json:
            _live(look, client.url, interval)
        else:
            _snapshots(look, interval, print_json if as_json else _print_lines)


def _root(client: Client, path: str | None) -> int | None:
    return queue_id(client, path) if path and path != "/" else None


def _print(found: QueueNode) -> None:
    console = Console(highlight=False)
    rows = rows_of(found)
    layout = layout_for(rows, console.width)
    console.print(heading(layout))
    for row in rows:
        made = line(row, layout)
        made.end = "\n"
        console.print(made, no_wrap=True, crop=False)


def _print_lines(found: QueueNode) -> None:
    print_rows((), map(_fields, rows_of(found)))


def _fields(row: Row) -> tuple[Any, ...]:
    node = row.node
    return (
        *(node["fullpath"], node["assigned_agents"], node.get("entitled_agents")),
        *(node["minimum_agents"], node["maximum_agents"]),
        *(node["tasks"]["waiting"], node["tasks"]["running"]),
        *(node["priority"], node["weight"], node["paused"]),
    )


def _snapshots(look: Look, interval: float, show: Callable[[QueueNode], None]) -> None:
    """Until whoever reads has enough."""
    away = False
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        while True:
            try:
                show(look())
                sys.stdout.write("\n")
                sys.stdout.flush()
                away = False
            except Unavailable as failed:
                if not away:
                    complain(f"{failed}; trying again")
                away = True
            time.sleep(interval)


def _live(look: Look, where: str, interval: float) -> None:
    """Until the key q, or Ctrl-C."""
    view = View(look(), where)
    console = Console(highlight=False)
    with (
        contextlib.suppress(KeyboardInterrupt),
        keys() as pressed,
        Live(console=console, screen=True, auto_refresh=False) as screen,
        _looking(look, interval) as news,
    ):
        drawn: object = None
        while not view.over:
            changed = news.told(view)
            if changed or drawn != console.size:
                drawn = console.size
                screen.update(view.draw(*console.size), refresh=True)
            for key in pressed.wait(_STEP):
                view.press(key)
                drawn = None


class _News:
    """What a second thread finds; keys are heard while it waits for the service."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._latest: QueueNode | str | None = None
        self._lock = threading.Lock()

    def tell(self, latest: QueueNode | str) -> None:
        with self._lock:
            self._latest = latest

    def told(self, view: View) -> bool:
        """Let the view have what is new; whether anything is."""
        with self._lock:
            latest, self._latest = self._latest, None
        if isinstance(latest, str):
            view.away = latest
        elif latest is not None:
            view.tree, view.away = latest, None
        return latest is not None


@contextlib.contextmanager
def _looking(look: Look, interval: float) -> Iterator[_News]:
    news = _News()
    thread = threading.Thread(target=_look_on, args=(look, interval, news), daemon=True)
    thread.start()
    try:
        yield news
    finally:
        news.over.set()  # it ends by itself; nobody waits for an answer that may never come


def _look_on(look: Look, interval: float, news: _News) -> None:
    since: float | None = None
    while not news.over.wait(interval):
        try:
            news.tell(look())
            since = None
        except FarmqueueError as failed:
            since = since or time.monotonic()
            news.tell(f"{failed} ({time.monotonic() - since:.0f} s; trying again)")
