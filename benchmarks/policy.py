"""The policy alone, in memory: microseconds per pick on mixed farms up to a million agents."""

import gc
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psutil

from app.policy.farm import Farm
from app.policy.fit import Agent, Requirements
from app.policy.ordinals import Ordinals
from app.policy.pick import assign
from app.policy.tree import Job, Queue, path
from benchmarks.figures import Figure
from benchmarks.stage import Stage

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "policy-scale.svg"
FAN_OUT = 5  # queues in a queue; jobs hang anywhere
TREES = [
    (10, 100, 100),
    (100, 1_000, 1_000),
    (1_000, 10_000, 10_000),
    (10_000, 100_000, 100_000),
    (100_000, 500_000, 1_000_000),
]
FLAT = [(0, jobs, min(jobs, 20_000)) for jobs in (100, 1_000, 10_000, 100_000)]
ROUNDS, BATCHES = 20_000, 40
ENDLESS = [(0, 10**9)]
MB = 2**20

TAGS = ["gpu", "linux", "night", "fast"]
SETS = [frozenset(TAGS[at] for at in range(len(TAGS)) if number >> at & 1) for number in range(16)]
NEEDS = [
    Requirements(cpus, ram, tags, frozenset({"laptop"} if tags else ()))
    for cpus, ram, tags in product((2, 8, 16), (512, 8_192, 65_536), SETS[:5])
][:40]
CLASSES = [
    (cpus, ram, tags)
    for cpus, ram in ((4, 16_384), (8, 32_768), (16, 65_536), (32, 131_072), (64, 524_288))
    for tags in [*SETS, *(SETS[at] | {"laptop"} for at in range(4))]
]
# The last of the line is for this agent alone, and it is for nothing else.
RARE = Requirements(cpus=1, required_tags=frozenset({"rare"}))
RARE_AGENT = Agent(UUID(int=0), 1, 1_024, frozenset({"rare"}))


@dataclass(frozen=True)
class Row:
    """One farm: its size, and microseconds; `steady` is for an end and the pick that follows."""

    shape: str
    queues: int
    jobs: int
    agents: int
    idle: int
    levels: int
    build_s: float
    memory_mb: int
    filling_us: float
    steady_us: float
    steady_low_us: float
    steady_high_us: float
    last_of_line_us: float


class Crowd:
    """A farm with its agents, each with what it works on."""

    def __init__(self, queues: int, jobs: int, agents: int) -> None:
        self.chance = Random(1)  # noqa: S311 - the same farm each time
        self.root = Queue(id=0)
        self.queues = [self.root, *self._queues(queues)]
        for number in range(1, jobs + 1):
            self.chance.choice(self.queues).add(self._job(number, agents / jobs))
        self.last = self._last(jobs + 1)
        self.agents = [self._agent(number) for number in range(1, agents + 1)]
        self.farm = Farm(self.root, self.agents)
        self.works: list[tuple[Agent, Job, list[int]]] = []

    def fill(self) -> None:
        for agent in self.agents:
            if given := assign(self.farm, agent):
                self.works.append((agent, *given))

    def go_on(self, rounds: int) -> None:
        """So often, some agent's work ends, and it is given its next."""
        for _ in range(rounds):
            at = int(self.chance.random() * len(self.works))
            agent, job, _ = self.works[at]
            self.farm.count(job, -1)
            given = assign(self.farm, agent)
            assert given is not None, "what it worked on is still there"
            self.works[at] = (agent, *given)

    def serve_the_last(self, rounds: int) -> None:
        for _ in range(rounds):
            given = assign(self.farm, RARE_AGENT)
            assert given is not None
            assert given[0] is self.last
            self.farm.count(self.last, -1)

    def _queues(self, queues: int) -> list[Queue]:
        made = [self.root]
        for number in range(1, queues + 1):
            queue = Queue(id=number, **self._settings(number, 4))
            queue.prefer_running_jobs = number % 10 == 0
            made[(number - 1) // FAN_OUT].add(queue)
            made.append(queue)
        return made[1:]

    def _job(self, number: int, agents: float) -> Job:
        needed = self.chance.choice(NEEDS)
        settings = self._settings(number, max(2, math.ceil(4 * agents)))
        waiting = Ordinals(ENDLESS)
        return Job(id=number, frames="1", waiting=waiting, requirements=needed, **settings)

    def _settings(self, number: int, few: int) -> dict[str, Any]:
        """Minimums and maximums on every fifth node each; no priority without a maximum."""
        limited = number % 5 == 0
        return {
            "priority": self.chance.choice([0, 0, 1, 2]) if limited else 0,
            "weight": self.chance.choice([0, 1, 5, 10, 10, 10, 20, 100]),
            "minimum": self.chance.randint(1, 2) if number % 5 == 1 else None,
            "maximum": few * self.chance.randint(1, 4) if limited else None,
        }

    def _last(self, number: int) -> Job:
        """In the last queue, so one of the deepest, behind all others."""
        last = Job(id=number, frames="1", waiting=Ordinals(ENDLESS), requirements=RARE, weight=0)
        self.queues[-1].add(last)
        for node in path(last):
            node.priority, node.minimum, node.maximum = -10, None, None
        return last

    def _agent(self, number: int) -> Agent:
        cpus, ram, tags = self.chance.choice(CLASSES)
        return Agent(UUID(int=number), cpus, ram // 16 * self.chance.randint(4, 16), tags)


def measure(queues: int, jobs: int, agents: int) -> Row:
    gc.disable()
    started = time.process_time()
    crowd = Crowd(queues, jobs, agents)
    built = time.process_time() - started
    gc.collect()
    gc.freeze()
    gc.enable()
    filling = per_round(crowd.fill, agents)
    crowd.go_on(ROUNDS // BATCHES)  # to warm up
    steady = sorted(batches(crowd.go_on))
    last = sorted(batches(crowd.serve_the_last))
    gc.unfreeze()
    return Row(
        shape="tree" if queues else "flat",
        queues=queues,
        jobs=jobs,
        agents=agents,
        idle=agents - len(crowd.works),
        levels=len(list(path(crowd.queues[-1]))) - 1,
        build_s=round(built, 2),
        memory_mb=round(psutil.Process().memory_info().rss / MB),
        filling_us=round(filling, 1),
        steady_us=round(statistics.median(steady), 1),
        steady_low_us=round(steady[BATCHES // 10], 1),
        steady_high_us=round(steady[-BATCHES // 10], 1),
        last_of_line_us=round(statistics.median(last), 1),
    )


def per_round(work: Any, rounds: int, *arguments: int) -> float:
    """Of processor time, so that what else the machine does counts for little."""
    started = time.process_time()
    work(*arguments)
    return (time.process_time() - started) / rounds * 1e6


def batches(work: Any) -> Iterator[float]:
    for _ in range(BATCHES):
        yield per_round(work, ROUNDS // BATCHES, ROUNDS // BATCHES)


def growth(rows: list[Row], column: str) -> Figure:
    """From the smallest farm to the largest: times slower, against times the log is larger."""
    small, large = rows[0], rows[-1]
    slower = float(getattr(large, column) / getattr(small, column))
    log = math.log(large.queues + large.jobs) / math.log(small.queues + small.jobs)
    name = column.removesuffix("_us").replace("_", " ")
    return Figure(
        f"{small.shape}, {name}: times slower at the largest", slower, at_most=round(log, 2)
    )


def figures_of(row: Row) -> list[Figure]:
    of = f"{row.shape}, {row.queues:,} queues, {row.jobs:,} jobs, {row.agents:,} agents"
    return [
        Figure(f"{of}: filling", row.filling_us, "µs a pick"),
        Figure(f"{of}: steady", row.steady_us, "µs a pick and a release"),
        Figure(f"{of}: 10 % and 90 % of it", [row.steady_low_us, row.steady_high_us], "µs"),
        Figure(f"{of}: the last of the line", row.last_of_line_us, "µs a pick and a release"),
    ]


# --- picture ---

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 360, 60, 50, 50
STYLE = (
    "text{font:13px sans-serif;fill:#444}.grid{stroke:#8884}.tree{stroke:#0969da}"
    ".flat{stroke:#bc4c00}.last{stroke:#8250df}polyline{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.tree{stroke:#58a6ff}"
    ".flat{stroke:#f0883e}.last{stroke:#bc8cff}}"
)


def picture(rows: list[Row]) -> str:
    """Microseconds over the number of queues and jobs, whose axis is logarithmic."""
    trees = [row for row in rows if row.shape == "tree"]
    flat = [row for row in rows if row.shape == "flat"]
    lines = {
        "tree: queues in up to eight levels": ("tree", trees, "steady_us"),
        "flat: one queue": ("flat", flat, "steady_us"),
        "tree: an agent that only the last job suits": ("last", trees, "last_of_line_us"),
    }
    most: float = max(getattr(row, column) for _, some, column in lines.values() for row in some)
    step = 10.0 ** math.floor(math.log10(most))
    top = math.ceil(most / step) * step

    def x(size: float) -> float:
        return round(LEFT + (math.log10(size) - 2) / 4 * (WIDTH - LEFT - 30), 1)

    def y(us: float) -> float:
        return round(HEIGHT - BOTTOM - us / top * (HEIGHT - TOP - BOTTOM - 30), 1)

    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>Microseconds per pick and size of the farm</title><style>{STYLE}</style>",
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">queues and jobs</text>',
    ]
    for power in range(2, 7):
        at, size = x(10**power), f"{10**power:,}"
        drawn.append(f'<path class="grid" d="M{at} {y(0)}V{y(top)}"/>')
        drawn.append(f'<text x="{at}" y="{y(0) + 20}" text-anchor="middle">{size}</text>')
    for part in range(5):
        us = top * part / 4
        drawn.append(f'<path class="grid" d="M{LEFT} {y(us)}H{WIDTH - 30}"/>')
        drawn.append(f'<text x="{LEFT - 8}" y="{y(us) + 4}" text-anchor="end">{us:g} µs</text>')
    for at, (name, (kind, some, column)) in enumerate(lines.items()):
        points = [(x(row.queues + row.jobs), y(getattr(row, column))) for row in some]
        along = " ".join(f"{right},{up}" for right, up in points)
        drawn.append(f'<polyline class="{kind}" points="{along}"/>')
        drawn.append(f'<path class="{kind}" stroke-width="2" d="M{LEFT} {16 + 19 * at}h24"/>')
        drawn.append(f'<text x="{LEFT + 32}" y="{20 + 19 * at}">{name}</text>')
    return "\n".join([*drawn, "</svg>", ""])


def run(_: Stage) -> list[Figure]:
    rows = [measure(*size) for size in [*TREES, *FLAT]]
    trees = [row for row in rows if row.shape == "tree"]
    flat = [row for row in rows if row.shape == "flat"]
    PICTURE.write_text(picture(rows))
    grown = [
        growth(some, column)
        for some in (trees, flat)
        for column in ("filling_us", "steady_us", "last_of_line_us")
    ]
    return [figure for row in rows for figure in figures_of(row)] + grown
