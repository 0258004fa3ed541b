"""The demo from its first line to its last, with the real service, agents and renderer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from examples.demo.processes import admin_token
from farmqueue.client import Client
from tests.examples.png_reader import read_animation
from tests.processes import free_port

PROJECT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.timeout(300)


def shot(title: str, frames: str, queue: str) -> dict[str, Any]:
    module = ["$PYTHON", "-m", "examples.animation.render", "--of", "6", "--size", "32x18"]
    wanted = ["--first", "{first}", "--last", "{last}", "--out", "$RESULT/frames/film"]
    return {
        "title": title,
        "queue": queue,
        "frames": frames,
        "batch": 2,
        "command": [*module, *wanted],
    }


def film(*after: str) -> dict[str, Any]:
    module = ["$PYTHON", "-m", "examples.animation.assemble", "--count", "6"]
    wanted = ["--in", "$RESULT/frames/film", "--out", "$RESULT/film.png"]
    return {"title": "film", "frames": "1", "after": after, "command": [*module, *wanted]}


FILM = [
    shot("by day", "1-4", "/films/day"),
    shot("by night", "5-6", "/films/night"),
    film("by day", "by night"),
]
ENDLESS = {
    "title": "endless",
    "queue": "/films/day",
    "frames": "1",
    "command": ["$PYTHON", "-c", "import time; time.sleep(900)", "$RESULT"],
}


def farm(tmp_path: Path, *jobs: dict[str, Any]) -> Path:
    """A farm file with these jobs and a small tree of queues."""
    shots = [{"name": "day", "weight": 20}, {"name": "night", "maximum_agents": 1}]
    path = tmp_path / "farm.json"
    path.write_text(json.dumps({"queues": [{"name": "films", "children": shots}], "jobs": jobs}))
    return path


@contextmanager
def demo(
    tmp_path: Path, farm: Path, *more: str, **settings: str
) -> Iterator["subprocess.Popen[str]"]:
    """The demo as a process whose data and results are below `tmp_path`."""
    environ = {
        **os.environ,
        **settings,
        "FARMQUEUE_DATA_DIR": str(tmp_path / "data"),
        "FARMQUEUE_PORT": str(free_port()),
    }
    asked = ["--farm", str(farm), "--result", str(tmp_path / "result"), *more]
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo", *asked],
        cwd=PROJECT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:  # the test failed half way
                process.terminate()
                process.communicate()


def left_behind(tmp_path: Path) -> list[str]:
    """Processes with the test's directory in their command line: all of the demo's have it."""
    found = [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]
    return [command for command in found if str(tmp_path) in command]


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """What it prints up to a line with these words; the test fails where none comes."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    pytest.fail(f"it never said {words!r}, but: {said}")


def url_in(said: str) -> str:
    """The address of the service: where the docs page is, without /docs."""
    line = next(line for line in said.splitlines() if line.endswith("/docs"))
    return line.split()[-1].removesuffix("/docs")


def on(database: str) -> dict[str, str]:
    """A database that is there already is quicker than one that the demo makes."""
    return {"FARMQUEUE_DATABASE_URL": database.replace("+asyncpg", "")}


def test_a_demo_that_is_run_once_ends_when_all_is_done_and_leaves_no_process(
    tmp_path: Path, database: str
) -> None:
    short = {"title": "short", "frames": "1", "command": ["$PYTHON", "-c", "", "$RESULT"]}
    with demo(tmp_path, farm(tmp_path, short), "--once", **on(database)) as process:
        said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "All 1 jobs are done" in said
    assert left_behind(tmp_path) == []


def test_a_demo_that_was_interrupted_is_begun_anew_on_the_same_data_renders_and_then_serves(
    tmp_path: Path,
) -> None:
    with demo(tmp_path, farm(tmp_path, ENDLESS)) as process:
        read_until(process, "'endless' is running")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert left_behind(tmp_path) == []

    with demo(tmp_path, farm(tmp_path, *FILM)) as process:
        said = read_until(process, "go on until Ctrl-C")
        _is_as_the_sample_says(url_in(said), tmp_path / "data")
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
    assert "'film' is done" in said
    assert "All 3 jobs are done" in said
    result = tmp_path / "result" / "film.png"
    assert str(result) in said
    assert len(read_animation(result.read_bytes())) == 6
    assert left_behind(tmp_path) == []


def _is_as_the_sample_says(url: str, data_dir: Path) -> None:
    with Client(url, token=admin_token(data_dir)) as client:
        queues = {queue["fullpath"]: queue for queue in client.queues()}
        assert list(queues) == ["/films", "/films/day", "/films/night"]
        assert queues["/films/night"]["maximum_agents"] == 1
        assert queues["/films/day"]["weight"] == 20
        assert [agent["state"] for agent in client.agents()] == ["online"] * 4
        states = {job["title"]: job["state"] for job in client.jobs()}
        assert states == {"by day": "done", "by night": "done", "film": "done"}  # no endless one


def test_a_job_that_fails_is_named_with_the_reason_and_so_is_one_that_waits_for_it(
    tmp_path: Path, database: str
) -> None:
    command = ["$PYTHON", "-c", "exit('no licence')"]
    broken = {"title": "broken", "frames": "1", "requeue": 0, "command": command}
    with demo(tmp_path, farm(tmp_path, broken, film("broken")), **on(database)) as process:
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "'broken' failed" in said
    assert "no licence" in said
    assert "'film' cannot run" in said
    assert left_behind(tmp_path) == []


def test_a_service_that_cannot_start_is_reported_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMQUEUE_LEASE_SECONDS", "soon")
    with demo(tmp_path, farm(tmp_path)) as process:
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "the service ended with exit code" in said
    assert "FARMQUEUE_LEASE_SECONDS" in said
    assert "Traceback" not in said.partition("the end of")[0]
