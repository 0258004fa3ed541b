"""The suite is worth something: it fails where the service is broken in one of these ways."""

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("app", "alembic", "farmqueue", "tests", "pyproject.toml")
FAILED = 1  # pytest's code where tests ran and some failed

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Mutant:
    file: str
    old: str
    new: str
    test: str


AWAY = "tests/chaos/test_database.py::test_a_database_away_for_twice_the_lease_takes_no_work_from_"
FIRST_FIVE = "tests/chaos/test_first_five.py::test_"

MUTANTS = {
    "no fence": Mutant(
        "app/scheduler/reports.py",
        "ended=holding.ended is not None",
        "ended=False",
        f"{FIRST_FIVE}the_work_of_an_agent_frozen_past_its_lease_goes_elsewhere_and_stays_there",
    ),
    "released by agent": Mutant(
        "app/scheduler/service.py",
        "assignment_ids=[assignment_id]",
        'agent_ids=[assignment["agent_id"]]',
        f"{FIRST_FIVE}a_release_whose_answer_was_lost_is_of_the_old_work_only",
    ),
    "no farm lock": Mutant(
        "app/scheduler/session.py",
        "LOCK = FARM_LOCK",
        'LOCK = "pg_backend_pid()"',
        f"{FIRST_FIVE}32_agents_never_pass_a_limit_that_is_lowered_under_a_queue_that_moves",
    ),
    "clashes are heard of": Mutant(
        "app/again.py",
        "{**scope, CLASH: clash}",
        "{**scope}",
        "tests/chaos/test_opposite_edits.py::test_of_edits_in_opposite_order_no_client_ever_hears_of_"
        "a_deadlock",
    ),
    "trusts every silence": Mutant(
        "app/scheduler/reaper.py",
        "if contact.trusted:",
        "if contact:",
        f"{AWAY}who_lived",
    ),
    "answers before the disk": Mutant(
        "app/scheduler/disk.py",
        "self._waiting.append(waiting)",
        "waiting.set_result(None)",
        "tests/chaos/test_database.py::test_what_was_acknowledged_in_the_moment_before_a_server_was_"
        "killed_is_there",
    ),
    "counted twice": Mutant(
        "app/scheduler/reports.py",
        "if verdict is Verdict.COUNT:",
        "if verdict in {Verdict.COUNT, Verdict.KNOWN}:",
        f"{FIRST_FIVE}results_whose_answer_was_lost_are_counted_once",
    ),
}


def copied(home: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, home / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, home / name)
    return home


async def run(home: Path, cluster: Path, *tests: str) -> tuple[int, str]:
    """pytest over the copy, with servers of this run's data: its exit code, and what it said."""
    options = [
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "--timeout=90",
        "-m",
        "chaos or not chaos",
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", *options, *tests),
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(home), "FARMQUEUE_CHAOS_CLUSTER": str(cluster)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode(errors="replace")


async def test_the_copy_passes_as_it_is(tmp_path: Path, cluster: Path) -> None:
    code, told = await run(copied(tmp_path), cluster, *{mutant.test for mutant in MUTANTS.values()})
    assert code == 0, told
    assert f"{len(MUTANTS)} passed" in told


@pytest.mark.parametrize("name", MUTANTS)
async def test_the_suite_catches(tmp_path: Path, cluster: Path, name: str) -> None:
    mutant = MUTANTS[name]
    file = copied(tmp_path) / mutant.file
    text = file.read_text()
    assert text.count(mutant.old) == 1
    file.write_text(text.replace(mutant.old, mutant.new))
    code, told = await run(tmp_path, cluster, mutant.test)
    assert code == FAILED, told
    assert "1 failed" in told
