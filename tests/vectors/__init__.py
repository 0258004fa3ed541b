"""Scenarios with the expected pick of each step, to be played on a farm in memory or over HTTP."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Required, TypedDict, cast

Changes = dict[str, Any]


class QueueSpec(TypedDict, total=False):
    """A queue as the HTTP API takes it; `parent` is a fullpath, none for the top level."""

    name: Required[str]
    parent: str | None
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    prefer_running_jobs: bool
    paused: bool


class JobSpec(TypedDict, total=False):
    """A job as the HTTP API takes it, but for `tasks` (frames 1 to n) and `parents` (titles)."""

    title: Required[str]
    tasks: Required[int]
    queue: str | None
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    batch: int
    cpus: int
    ram: int
    required_tags: list[str]
    excluded_tags: list[str]
    parents: list[str]


class AgentSpec(TypedDict):
    """An agent as it registers; all its memory is free."""

    hostname: str
    cpus: int
    ram: int
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A farm (ids in the order of the lists), and what happens on it."""

    name: str
    queues: list[QueueSpec]
    jobs: list[JobSpec]
    agents: list[AgentSpec]
    steps: list[dict[str, Any]]


class Playable(Protocol):
    """A farm that a scenario can be played on; agents, queues and jobs go by their names."""

    async def build(self, scenario: Scenario) -> None:
        """Make the queues, jobs and agents, in the order of the lists."""

    async def assign(self, hostname: str) -> str | None:
        """Let the agent ask for work: the job's title, None where there is none."""

    async def finish(self, hostname: str) -> None:
        """Let the agent report all that it holds as done; nothing where it holds nothing."""

    async def set_queue(self, fullpath: str, changes: Changes) -> None:
        """Change fields of a queue."""

    async def set_job(self, title: str, changes: Changes) -> None:
        """Change fields of a job."""


async def play(scenario: Scenario, farm: Playable) -> None:
    """Take each step on the farm, and assert that each pick is the expected one."""
    await farm.build(scenario)
    for number, step in enumerate(scenario.steps):
        match step:
            case {"assign": hostname, "expect": expected}:
                picked = await farm.assign(hostname)
                said = f"{scenario.name}, step {number}: {hostname} got {picked}, not {expected}"
                assert picked == expected, said
            case {"finish": hostname}:
                await farm.finish(hostname)
            case {"set_queue": fullpath, "changes": changes}:
                await farm.set_queue(fullpath, changes)
            case {"set_job": title, "changes": changes}:
                await farm.set_job(title, changes)
            case _:
                raise ValueError(f"{scenario.name}, step {number}: no player knows {step}")


def scenarios() -> list[Scenario]:
    """All scenarios that lie next to this file, by name; there are some."""
    found = [_read(path) for path in sorted(Path(__file__).parent.glob("*.json"))]
    if not found:
        raise FileNotFoundError("no scenarios next to " + __file__)
    return found


def _read(path: Path) -> Scenario:
    written = json.loads(path.read_text())
    agents = [{"cpus": 8, "ram": 16384, "tags": []} | agent for agent in written["agents"]]
    return Scenario(**{**written, "agents": cast("list[AgentSpec]", agents)})
