"""What `farmqueue top` shows of the farm, and what keys do to it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rich.text import Text

from farmqueue.cli.screen import ORDERS, Row, heading, layout_for, line, rows_of
from farmqueue.model import QueueNode

HELP = "q quit · ↑↓ choose · space fold · s sort · w only with work"

# Lines that are no queue: two above, one below.
_AROUND = 3


@dataclass(slots=True)
class View:
    """The last tree that was seen, and how it is looked at."""

    tree: QueueNode
    where: str
    away: str | None = None
    order: str = "name"
    busy: bool = False
    folded: set[int | None] = field(default_factory=set)
    chosen: int = 0
    offset: int = 0
    height: int = 24
    over: bool = False

    def press(self, key: str) -> None:
        """Do what a key says, if anything."""
        action = _KEYS.get(key)
        if action is not None:
            action(self)

    def draw(self, width: int, height: int) -> Text:
        """As many lines as fit; the chosen queue is among them."""
        self.height = height
        rows = self._rows()
        room = max(height - _AROUND, 1)
        self.chosen = min(self.chosen, len(rows) - 1)
        self.offset = max(
            min(self.offset, self.chosen, len(rows) - room), self.chosen - room + 1, 0
        )
        visible = rows[self.offset : self.offset + room]
        layout = layout_for(visible, width)
        lines = [self._head(), heading(layout)]
        lines += [
            line(row, layout, chosen=place == self.chosen)
            for place, row in enumerate(visible, self.offset)
        ]
        lines += [Text("")] * (height - 1 - len(lines))
        lines.append(self._foot(len(rows), len(visible)))
        for each in lines:
            each.truncate(width)
        return Text("\n", no_wrap=True, end="").join(lines[:height])

    def _rows(self) -> list[Row]:
        return rows_of(self.tree, self.order, self.folded, busy=self.busy)

    def _head(self) -> Text:
        if self.away is not None:
            return Text(self.away, "bold white on red")
        tasks = self.tree["tasks"]
        told = (
            f"{self.where}  {self.tree['assigned_agents']} agents at work,"
            f" {tasks['waiting']} tasks wait, {tasks['running']} run"
        )
        return Text(told, "bold")

    def _foot(self, rows: int, visible: int) -> Text:
        part = "" if visible == rows else f"{self.offset + 1}-{self.offset + visible} of "
        busy = ", with work" if self.busy else ""
        return Text(f"{part}{rows} queues by {self.order}{busy} · {HELP}", "dim")

    def move(self, by: int) -> None:
        self.chosen = max(0, min(self.chosen + by, len(self._rows()) - 1))

    def fold(self) -> None:
        node = self._rows()[self.chosen].node
        if node["children"]:
            self.folded ^= {node["id"]}

    def sort(self) -> None:
        words = list(ORDERS)
        self.order = words[(words.index(self.order) + 1) % len(words)]

    def show_busy(self) -> None:
        self.busy = not self.busy

    def page(self, by: int) -> None:
        screen = by * max(self.height - _AROUND, 1)
        self.move(screen)
        self.offset += screen

    def quit(self) -> None:
        self.over = True


_KEYS: dict[str, Callable[[View], None]] = {
    "q": View.quit,
    "\x03": View.quit,  # Ctrl-C where it is no signal
    "s": View.sort,
    "w": View.show_busy,
    " ": View.fold,
    "\r": View.fold,
    "\n": View.fold,
    "k": lambda view: view.move(-1),
    "j": lambda view: view.move(1),
    "up": lambda view: view.move(-1),
    "down": lambda view: view.move(1),
    "page up": lambda view: view.page(-1),
    "page down": lambda view: view.page(1),
}
