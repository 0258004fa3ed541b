"""`farmqueue audit`: what it prints, and how it ends."""

import json
import os
import subprocess
import sys

from app.audit.findings import ADVICE, Check
from tests.audit.spoiling import build, spoil
from tests.farm import Farm


def types(database: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"FARMQUEUE_DATABASE_URL": database.replace("+asyncpg", "")}
    command = [sys.executable, "-m", "farmqueue", "audit", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


async def test_a_farm_that_is_well_ends_with_0_and_says_what_was_looked_at(
    farm: Farm, database: str
) -> None:
    await build(farm)
    done = types(database)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("0 findings; 5 assignments of the history played back")


async def test_a_finding_ends_with_1_and_says_what_to_do(farm: Farm, database: str) -> None:
    await build(farm)
    await spoil(database, "UPDATE job_progress SET tasks_done = tasks_done + 1 WHERE job_id = 1")
    done = types(database)
    assert done.returncode == 1
    assert done.stdout.startswith("job_counts\tjob 1\t")
    assert f"job_counts (1): {ADVICE[Check.JOB_COUNTS]}" in done.stderr
    told = types(database, "--json", "--no-history")
    assert told.returncode == 1
    shown = json.loads(told.stdout)
    assert [(one["check"], one["subject"]) for one in shown["findings"]] == [
        ("job_counts", "job 1")
    ]
    assert shown["advice"] == {"job_counts": ADVICE[Check.JOB_COUNTS]}
    assert shown["history"]["assignments"] == 0


def test_a_database_that_is_away_ends_with_6() -> None:
    done = types("postgresql://nobody@127.0.0.1:9/farm")
    assert done.returncode == 6
    assert done.stderr.startswith("farmqueue: no audit: ")


async def test_a_database_without_the_schema_is_not_judged(server: str) -> None:
    done = types(server)
    assert done.returncode == 6
    assert "farmqueue migrate" in done.stderr
