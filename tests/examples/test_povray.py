"""The POV-Ray example submits what it says to a real service, where no agent takes it."""

import os
import subprocess
import sys
from pathlib import Path

from farmqueue.client import Client
from tests.processes import service
from tests.tokens import ADMIN_TOKEN

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "povray"


def commands(directory: Path) -> Path:
    """A directory with a `farmqueue` that is the real one, but waits for no job."""
    directory.mkdir()
    script = directory / "farmqueue"
    real = f'exec {sys.executable} -m farmqueue "$@"'
    script.write_text(f'#!/bin/sh\n[ "$1" = watch ] && echo "$@" && exit 0\n{real}\n')
    script.chmod(0o755)
    return directory


def run(url: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "FARMQUEUE_URL": url, "FARMQUEUE_TOKEN": ADMIN_TOKEN}
    asked = [str(EXAMPLE / "run.sh"), str(tmp_path / "bloom")]
    return subprocess.run(asked, env=environ, capture_output=True, text=True, check=False)


def test_run_sh_submits_the_frames_and_a_video_that_waits_for_them(
    database: str, tmp_path: Path
) -> None:
    commands(tmp_path / "bin")
    with service(database, tmp_path / "log") as url, Client(url, token=ADMIN_TOKEN) as client:
        for _ in range(2):  # the second time the queues are there
            done = run(url, tmp_path)
            assert done.returncode == 0, done.stderr
        *_, frames, video = client.jobs()
        assert f"watch {frames['id']} {video['id']}" in done.stdout
        assert frames["queue"] == video["queue"] == "/films/bloom"
        assert (frames["tasks"]["waiting"], frames["batch"]) == (72, 6)
        assert frames["data"]["per"] == "batch"
        assert {"+KFF72", "+SF{first}", "+EF{last}"} < set(frames["data"]["command"])
        assert f"+I{EXAMPLE / 'bloom.pov'}" in frames["data"]["command"]
        assert video["parents"] == [frames["id"]]
        assert f"{tmp_path}/bloom/frame_%02d.png" in video["data"]["command"]


def test_run_sh_says_what_is_wrong_when_no_farm_answers(tmp_path: Path) -> None:
    commands(tmp_path / "bin")
    done = run("http://127.0.0.1:1", tmp_path)
    assert done.returncode == 6
    assert "http://127.0.0.1:1" in done.stderr
