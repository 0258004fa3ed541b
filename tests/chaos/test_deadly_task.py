"""A task that takes its agent down with it, whichever agent that is."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests.chaos import invariants
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import agent_process

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

MOST_LOST = 3
DEADLY = "2"  # the frame
KILLS = f"import os, sys; sys.argv[1] == '{DEADLY}' and os.kill(os.getppid(), 9)"


async def death(on: Stage, token: str, home: Path) -> int | None:
    """How an agent process ended; None: it lived until the job was over."""
    with agent_process(on.urls[0], token, home / "state", home / "agent.log") as process:
        while process.poll() is None:
            if (await on.farm.see_job("shot"))["state"] == "failed":
                return None
            await asyncio.sleep(0.1)
        return process.returncode


async def test_a_task_that_kills_an_agent_which_is_started_again_at_once_fails_in_the_end(
    stage: Maker, tmp_path: Path
) -> None:
    async with stage(replicas=1, lease_seconds=60) as on:
        data = {"command": [sys.executable, "-c", KILLS, "{frame}"]}
        await on.farm.job("shot", tasks=5, batch=5, requeue=1, data=data)
        token = (await on.farm.post("/tokens", {"role": "join", "name": "nodes"}))["token"]
        home = tmp_path / "host"
        home.mkdir()
        deaths = [await death(on, token, home)]
        while deaths[-1] is not None:
            deaths.append(await death(on, token, home))
        assert deaths == [-signal.SIGKILL] * 4 + [None]
        tasks = {task["frame"]: task for task in await on.farm.see_tasks("shot")}
        deadly = tasks.pop(int(DEADLY))
        assert (deadly["state"], deadly["failures"]) == ("failed", 2)
        assert "killed while it ran this" in deadly["last_error"]
        assert {task["state"] for task in tasks.values()} == {"done"}
        await invariants.hold(on)


async def test_a_task_that_kills_agent_after_agent_is_set_aside_and_the_rest_is_done(
    stage: Maker, tmp_path: Path
) -> None:
    async with stage(replicas=1, lease_seconds=2, max_lost_leases=MOST_LOST) as on:
        await on.farm.job(
            "shot", tasks=5, data={"command": [sys.executable, "-c", KILLS, "{frame}"]}
        )
        token = (await on.farm.post("/tokens", {"role": "join", "name": "nodes"}))["token"]
        deaths: list[int | None] = []
        while deaths[-1:] != [None]:
            home = tmp_path / f"host{len(deaths)}"
            home.mkdir()
            deaths.append(await death(on, token, home))
        assert deaths == [-signal.SIGKILL] * MOST_LOST + [None]
        tasks = {task["frame"]: task for task in await on.farm.see_tasks("shot")}
        deadly = tasks.pop(int(DEADLY))
        assert (deadly["state"], deadly["lost_leases"]) == ("failed", MOST_LOST)
        assert f"{MOST_LOST} agents went silent" in deadly["last_error"]
        assert {(task["state"], task["lost_leases"]) for task in tasks.values()} == {("done", 0)}
        ended = await invariants.made(on, "assignment.ended")
        because = [row["detail"]["because"] for row in ended]
        assert because.count("lease_lost") == MOST_LOST
        await invariants.hold(on)
