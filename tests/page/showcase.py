"""A farm that is worth looking at: a studio's tree, jobs in every state, agents at work."""

import random
from typing import Any

from tests.farm import Farm

QUEUES: dict[str, dict[str, Any]] = {
    "/films": {"weight": 60, "minimum_agents": 8},
    "/films/fjord": {"weight": 30, "maximum_agents": 24},
    "/films/fjord/lighting": {"weight": 20, "minimum_agents": 4, "maximum_agents": 12},
    "/films/fjord/fx": {"weight": 10, "minimum_agents": 3, "maximum_agents": 6},
    "/films/fjord/comp": {"priority": 10, "weight": 10, "maximum_agents": 4},
    "/films/harbour": {"weight": 20},
    "/films/harbour/lighting": {"weight": 10, "minimum_agents": 6},
    "/films/harbour/crowd": {"weight": 5, "paused": True},
    "/tv": {"weight": 30, "maximum_agents": 16},
    "/tv/trailer": {"weight": 10},
    "/tv/season-2": {"weight": 20, "minimum_agents": 2},
    "/previews": {"priority": 20, "weight": 10, "maximum_agents": 3},
    "/tests": {"weight": 0},
    "/tests/nightly": {"minimum_agents": 1, "maximum_agents": 2},
}

JOBS: list[dict[str, Any]] = [
    {"title": "fjord 010 key light", "queue": "/films/fjord/lighting", "tasks": 120, "batch": 4},
    {"title": "fjord 020 key light", "queue": "/films/fjord/lighting", "tasks": 96, "batch": 4},
    {
        "title": "fjord 040 water",
        "queue": "/films/fjord/fx",
        "tasks": 240,
        "batch": 2,
        "requeue": 0,
    },
    {"title": "fjord 010 comp", "queue": "/films/fjord/comp", "tasks": 120, "batch": 10},
    {"title": "harbour 110 beauty", "queue": "/films/harbour/lighting", "tasks": 300, "batch": 5},
    {"title": "harbour 120 crowd", "queue": "/films/harbour/crowd", "tasks": 400, "batch": 5},
    {"title": "trailer, cut 3", "queue": "/tv/trailer", "tasks": 64, "batch": 8},
    {"title": "season 2, titles", "queue": "/tv/season-2", "tasks": 180, "batch": 6},
    {"title": "turntable, boat", "queue": "/previews", "tasks": 24, "batch": 8},
    {"title": "nightly stills", "queue": "/tests/nightly", "tasks": 8, "batch": 4},
]
GPU = {
    "title": "gpu denoise",
    "queue": "/films/fjord/comp",
    "tasks": 40,
    "required_tags": ["optix"],
}

ROUNDS = 2


async def furnish(farm: Farm, agents: int, seed: int = 7) -> None:
    """Make the farm, and let its agents work for a while."""
    chance = random.Random(seed)
    for fullpath, settings in QUEUES.items():
        await farm.queue(fullpath, **settings)
    for job in [*JOBS, GPU]:
        fields = dict(job)
        await farm.job(fields.pop("title"), **fields)
    after = [farm.jobs["fjord 010 comp"]]
    await farm.job("fjord 010 deliver", queue="/films/fjord", parents=after)
    names = [f"node{number:03d}" for number in range(1, agents + 1)]
    for name in names:
        tags = ["linux", "gpu"] if chance.random() < 0.3 else ["linux"]
        await farm.agent(name, tags=tags, version="0.1.0")
    for _ in range(ROUNDS):
        for name in names:
            if name in farm.held and chance.random() < 0.8:
                await _report(farm, name)
            if name not in farm.held:
                await farm.assign(name)
    await farm.set_agent(names[-1], state="disabled")
    await farm.set_agent(names[-2], state="draining")
    await farm.set_agent(names[-3], state="offline")
    await farm.set_queue("/tv", maximum_agents=12)
    await farm.set_queue("/films/harbour/lighting", minimum_agents=9)


async def _report(farm: Farm, name: str) -> None:
    held = farm.held[name]
    results = []
    for task in held["tasks"]:
        bad = held["job"]["title"] == "fjord 040 water" and task["frame"] % 3 == 0
        error = "render: texture //nas/fjord/foam.0042.tx: no such file\nexit code 1"
        results.append(
            {"task_id": task["id"], "state": "failed", "error": error}
            if bad
            else {"task_id": task["id"], "state": "done"}
        )
    url = f"/assignments/{held['id']}/results"
    assert (await farm.client.post(url, json={"results": results})).is_success
    del farm.held[name]
