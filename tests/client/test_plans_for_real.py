"""The tree as a file, with the command line as a process and a real service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.audit.spoiling import audited
from tests.farm import Farm
from tests.processes import service
from tests.tokens import ADMIN_TOKEN, AUTH


@pytest.fixture
def url(database: str, tmp_path: Path) -> Iterator[str]:
    with service(database, tmp_path / "log") as url:
        yield url


def types(url: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FARMQUEUE_URL": url, "FARMQUEUE_TOKEN": ADMIN_TOKEN}
    command = [sys.executable, "-m", "farmqueue", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, input=stdin
    )


async def test_a_tree_is_exported_edited_planned_and_applied(
    url: str, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "tree.yaml"
    async with httpx.AsyncClient(headers=AUTH, base_url=url, timeout=60) as client:
        farm = Farm(client)
        await farm.queue("/films", weight=60, maximum_agents=40)
        await farm.queue("/films/007", paused=True)
        await farm.queue("/tv")
        await farm.job("shot", queue="/films/007")
        assert types(url, "export", "-o", str(path)).returncode == 0
        same = types(url, "plan", str(path), "--delete", "--detailed-exitcode")
        assert (same.returncode, same.stdout.count("\n")) == (0, 1), same.stderr

        text = path.read_text()
        path.write_text(text.replace("films:", "movies:").replace("weight: 60", "weight: -60"))
        wrong = types(url, "plan", str(path))
        line = path.read_text().splitlines().index("    weight: -60") + 1
        assert wrong.returncode == 5
        assert f"{path}:{line}: /movies: weight: Input should be" in wrong.stderr

        path.write_text(text.replace("films:", "movies:").replace("weight: 60", "weight: 70"))
        plan = types(url, "plan", str(path), "--delete", "--detailed-exitcode")
        assert plan.returncode == 2, plan.stderr
        assert plan.stdout.splitlines()[0] == "move\t/movies\t/films\tweight: 60 → 70"
        fingerprint = plan.stdout.splitlines()[-1].split("\t")[1]
        for _ in range(2):
            done = types(url, "apply", str(path), "--delete", "--fingerprint", fingerprint)
            if done.returncode == 0:
                await farm.set_queue("/tv", weight=11)
        assert done.returncode == 4
        assert "plan anew" in done.stderr
        assert (await farm.see_job("shot"))["queue"] == "/movies/007"
    assert await audited(database, history=True) == []
