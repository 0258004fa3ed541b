"""Plans of 2,000 queues, and contended applies of them, beside a loop of 64 agents by turns.

Plans are asked for one after the other, all the time. To apply, two callers at once have all of
the 2,000 queues changed, each in its own way, while a third edits one of them without a pause: so
a plan is out of date again and again, and made anew while edits wait.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.agents import Sample
from benchmarks.client import Caller
from benchmarks.farm import SMALL, build
from benchmarks.figures import Figure, percentile
from benchmarks.stage import Stage
from benchmarks.turns import AGENTS, PACED, Happens, at_full_speed, paced

WITHIN = {"plan": 1.25, "apply": None}
GROUPS, IN_EACH = 40, 49  # and the groups themselves: 2,000
ROOT = "/planned"

Json = dict[str, Any]


@dataclass
class Beside:
    """The callers beside the loop, and how long each of their calls took."""

    callers: list[Caller]
    edited: int = 0  # the id of a queue of the file
    turn: int = 0
    taken: list[float] = field(default_factory=list)
    edits: int = 0

    async def plan(self, looping: "asyncio.Task[Sample]") -> None:
        while not looping.done():
            self.turn += 1
            await self._timed(self.callers[0], "/jobqueues/plan", file(self.turn))

    async def apply(self, looping: "asyncio.Task[Sample]") -> None:
        while not looping.done():
            self.turn += 2
            both = asyncio.gather(
                *(
                    self._timed(caller, "/jobqueues/apply", file(self.turn + number))
                    for number, caller in enumerate(self.callers[:2])
                )
            )
            while not both.done():
                self.edits += 1
                change = {"priority": self.edits % 100}
                await self.callers[2].must("PATCH", f"/jobqueues/{self.edited}", change)
            await both

    def told(self, name: str) -> list[Figure]:
        """What was done beside the loop since this was last told."""
        taken, edits = self.taken, self.edits
        self.taken, self.edits = [], 0
        return [
            Figure(f"{name}: times beside the loop", len(taken)),
            Figure(f"{name}: p50", percentile(taken, 50), "s"),
            *([Figure(f"{name}: single edits meanwhile", edits)] if edits else []),
        ]

    async def _timed(self, caller: Caller, path: str, body: Json) -> None:
        asked = time.perf_counter()
        await caller.must("POST", path, body)
        self.taken.append(time.perf_counter() - asked)


def file(turn: int) -> Json:
    """Another weight for each queue at each turn."""
    weight = {"weight": 1 + turn % 1_000}
    below = {f"q{number}": weight for number in range(IN_EACH)}
    groups = {f"g{number}": {**weight, "queues": below} for number in range(GROUPS)}
    return {"root": ROOT, "queues": groups}


def run(stage: Stage) -> list[Figure]:
    figures: list[Figure] = []
    for name in WITHIN:
        database = stage.database()
        agent_ids = uvloop.run(build(database, SMALL, AGENTS))
        with stage.service(database) as service:
            seconds = stage.options.length(8)
            figures += uvloop.run(_by_turns(service.url, name, agent_ids, seconds))
    return figures


async def _by_turns(url: str, name: str, agent_ids: list[str], seconds: float) -> list[Figure]:
    beside = Beside([await Caller.open(url) for _ in range(3)])
    await beside.callers[0].must("POST", "/jobqueues", {"name": ROOT.strip("/")})
    await beside.callers[0].must("POST", "/jobqueues/apply", file(0))
    found = await beside.callers[0].must("GET", f"/jobqueues?fullpath={ROOT}/g0")
    beside.edited = found["items"][0]["id"]
    happens: Happens = getattr(beside, name)
    full = await at_full_speed(url, agent_ids, seconds, happens)
    figures = [*beside.told(f"{name}, full speed"), *full.figures(f"{name}, full speed")]
    calm = await paced(url, agent_ids, seconds, happens)
    at = f"{name}, {PACED} a second"
    figures += [*beside.told(at), *calm.figures(at, within=WITHIN[name])]
    for caller in beside.callers:
        caller.close()
    return figures
