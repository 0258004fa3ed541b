"""The tree of queues as lines: for each queue a bar of its agents, and what it may have.

In the bar, `[` stands at the minimum, `|` at what the queue is entitled to, `]` at the maximum.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from farmqueue.model import QueueNode

Order = Callable[[QueueNode], Any]

# Between siblings, by the word that the screen shows.
ORDERS: Mapping[str, Order] = {
    "name": lambda node: node["name"],
    "agents": lambda node: (-node["assigned_agents"], node["name"]),
    "waiting": lambda node: (-node["tasks"]["waiting"], node["name"]),
    "priority": lambda node: (-node["priority"], -node["weight"], node["name"]),
}

_EIGHTHS = " ▏▎▍▌▋▊▉"
_INDENT = 2
_LEAST_BAR, _LEAST_NAME = 10, 18


@dataclass(frozen=True, slots=True)
class Row:
    """A queue that is shown; `hidden` counts the queues below it that are not."""

    node: QueueNode
    depth: int
    hidden: int = 0

    @property
    def name(self) -> str:
        return shown(self.node["name"]) or "/"


@dataclass(frozen=True, slots=True)
class Column:
    """A number of each queue; the last ones give way where the screen is narrow."""

    head: str
    width: int
    value: Callable[[QueueNode], int | None]


COLUMNS = (
    Column("agents", 7, lambda node: node["assigned_agents"]),
    Column("share", 7, lambda node: node.get("entitled_agents")),
    Column("waiting", 9, lambda node: node["tasks"]["waiting"]),
    Column("min", 6, lambda node: node["minimum_agents"]),
    Column("max", 6, lambda node: node["maximum_agents"]),
    Column("running", 9, lambda node: node["tasks"]["running"]),
    Column("prio", 6, lambda node: node["priority"]),
    Column("weight", 8, lambda node: node["weight"]),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths in cells; `scale` is how many agents a whole bar is."""

    name: int
    bar: int
    columns: Sequence[Column]
    scale: int


def rows_of(
    tree: QueueNode, order: str = "name", folded: Collection[int | None] = (), *, busy: bool = False
) -> list[Row]:
    """The tree from the top; without what is below folded queues, with `busy` without idle ones."""
    return list(_rows(tree, 0, ORDERS[order], folded, busy))


def _rows(
    node: QueueNode, depth: int, order: Order, folded: Collection[int | None], busy: bool
) -> Iterator[Row]:
    children = [child for child in node["children"] if not busy or _is_busy(child)]
    if node["id"] in folded:
        yield Row(node, depth, _count(children))
        return
    yield Row(node, depth)
    for child in sorted(children, key=order):
        yield from _rows(child, depth + 1, order, folded, busy)


def _is_busy(node: QueueNode) -> bool:
    return bool(node["assigned_agents"] or node["tasks"]["waiting"] or node["tasks"]["running"])


def _count(nodes: Sequence[QueueNode]) -> int:
    return sum(1 + _count(node["children"]) for node in nodes)


def layout_for(rows: Sequence[Row], width: int) -> Layout:
    """For these rows on a screen of so many cells."""
    columns = list(COLUMNS)
    while len(columns) > 1 and _left(width, columns) < _LEAST_NAME + _LEAST_BAR:
        columns.pop()
    left = max(_left(width, columns), _LEAST_NAME)
    longest = max((_INDENT * row.depth + cell_len(row.name) + 9 for row in rows), default=0)
    name = min(left, max(_LEAST_NAME, min(longest, left * 6 // 10)))
    below = [row for row in rows if row.node["id"] is not None] or rows
    scale = max((_most(row.node) for row in below), default=1)
    return Layout(name, max(left - name - 1, 0), columns, max(scale, 1))


def _left(width: int, columns: Sequence[Column]) -> int:
    return width - sum(column.width for column in columns) - 1


def _most(node: QueueNode) -> int:
    """A maximum that is far off does not make all bars short."""
    return max(
        node["assigned_agents"], node.get("entitled_agents") or 0, node["minimum_agents"] or 0
    )


def heading(layout: Layout) -> Text:
    cells = [set_cell_size("queue", layout.name), " " * (layout.bar + 1)]
    cells += [column.head.rjust(column.width) for column in layout.columns]
    return Text("".join(cells), "bold")


def line(row: Row, layout: Layout, *, chosen: bool = False) -> Text:
    """One queue."""
    node = row.node
    name = " " * (_INDENT * row.depth) + row.name
    marks = f" +{row.hidden}" * bool(row.hidden) + " paused" * node["paused"]
    room = layout.name - len(marks)
    if cell_len(name) > room:
        name = set_cell_size(name, max(room - 1, 0)) + "…"
    made = Text(no_wrap=True, end="")
    made.append(name, "reverse" if chosen else "dim" if node["paused"] else "")
    made.append(marks, "magenta")
    made.append(" " * max(layout.name - cell_len(name) - len(marks), 0) + " ")
    made.append_text(bar(node, layout.bar, layout.scale))
    for column in layout.columns:
        value = column.value(node)
        made.append(
            ("-" if value is None else str(value)).rjust(column.width), _style(column, node)
        )
    return made


def _style(column: Column, node: QueueNode) -> str:
    """A queue below its minimum is seen from afar."""
    short = node["minimum_agents"] is not None and node["assigned_agents"] < node["minimum_agents"]
    if column.head == "min" and short and node["tasks"]["waiting"]:
        return "bold red"
    return "" if column.value(node) else "dim"


def bar(node: QueueNode, width: int, scale: int) -> Text:
    """The agents at work, with the marks; `scale` agents fill it."""
    filled = min(node["assigned_agents"] * width * 8 // scale, width * 8)
    cells = ["█"] * (filled // 8) + [_EIGHTHS[filled % 8]] * bool(filled % 8)
    cells += ["·"] * (width - len(cells))
    made = Text("".join(cells), "green")
    made.stylize("dim", -(-filled // 8))
    for value, mark, style in (
        (node["minimum_agents"], "[", "bold yellow"),
        (node.get("entitled_agents"), "|", "bold cyan"),
        (node["maximum_agents"], "]", "bold magenta"),
    ):
        at = None if value is None else -(-value * width // scale) - 1
        if at is not None and value and at < width:
            made = made[:at] + Text(mark, style) + made[at + 1 :]
    return made


def shown(name: str) -> str:
    """A name that does nothing to the terminal."""
    return "".join(one if one.isprintable() else "�" for one in name)
