"""What is noted while a farm is played: series, and entitlements at a few moments."""

from collections import defaultdict

from app.policy.entitled import entitled
from app.policy.tree import Job, Queue
from app.simulation.play import Played

Node = Queue | Job

# Moments at which it is looked what everybody is entitled to, beside the first.
LOOKS = 8


class Course:
    """`series` are nodes with an entry for each step; sums of all looks are kept of the queues."""

    def __init__(self, played: Played, step: float, series: dict[str, Node]) -> None:
        self.played = played
        self.times: list[float] = []
        self.working: list[int] = []
        self.series: dict[str, list[int]] = {fullpath: [] for fullpath in series}
        self.entitled: dict[Node, int] = defaultdict(int)
        self.had: dict[Node, int] = defaultdict(int)
        self.now: dict[Node, int] = {}
        self.entitled_now: dict[Node, int] = {}
        self.looks = 0
        self._nodes = series
        self._step = step

    def run(self) -> None:
        """Play it to its horizon."""
        steps = int(self.played.horizon / self._step + 1e-9)
        look_every = max(1, steps // LOOKS)
        for number in range(steps + 1):
            self.played.forward.run(number * self._step)
            self._note()
            if number == 0:
                self._look()
                self.now = dict(self.had)
                self.entitled_now = dict(self.entitled)
            elif number % look_every == 0:
                self._look()
        self.played.forward.run(self.played.horizon)

    def _note(self) -> None:
        forward = self.played.forward
        self.times.append(round(forward.now, 3))
        self.working.append(forward.working)
        for fullpath, node in self._nodes.items():
            self.series[fullpath].append(node.assigned)

    def _look(self) -> None:
        self.looks += 1
        shares = entitled(self.played.root, len(self.played.farm.online))
        for queue in self.played.queues.values():
            self.entitled[queue] += shares[queue]
            self.had[queue] += queue.assigned
