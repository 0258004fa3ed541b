"""Shell scripts and the workflow, read by the tools that know their traps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WORKFLOW = ROOT / ".github/workflows/check.yml"
DIRECTORIES = (".ci", ".githooks", "deploy", "examples", "requirements", "tests")


def shell_scripts() -> list[Path]:
    files = (path for name in DIRECTORIES for path in (ROOT / name).rglob("*") if path.is_file())
    return sorted(path for path in files if is_shell(path))


def is_shell(path: Path) -> bool:
    first, _, _ = path.read_bytes().partition(b"\n")
    return first.startswith(b"#!") and first.endswith((b"/sh", b"/bash", b" sh", b" bash"))


def test_shellcheck_has_nothing_to_say() -> None:
    scripts = shell_scripts()
    assert {".ci/run", ".githooks/pre-commit", "deploy/env.sh", "requirements/lock.sh"} <= {
        path.relative_to(ROOT).as_posix() for path in scripts
    }
    checked = subprocess.run(
        [BIN / "shellcheck", *scripts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_git_can_run_the_hooks() -> None:
    hooks = list((ROOT / ".githooks").iterdir())
    assert hooks
    assert [hook for hook in hooks if not os.access(hook, os.X_OK)] == []


def test_the_workflow_is_one_that_github_takes() -> None:
    checked = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema=vendor.github-workflows", WORKFLOW],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_same_command_runs_here_and_there() -> None:
    assert "run: .ci/run\n" in WORKFLOW.read_text()
    assert "make test" in (ROOT / "README.md").read_text()


# A make whose tests end in turn as TIMES says: with these tests failed, with pytest's exit code.
MAKE = """#!/bin/sh
echo "$*" >> calls
[ "$1" = test ] || exit 0
n=$(grep -c ^test calls)
set -- $(echo "$TIMES" | cut -d, -f"$n")
for test in $(seq 1 "$2"); do echo "FAILED tests/a.py::test_$test - wrong"; done
[ "$1" = 0 ] || { echo "make: *** [Makefile:56: test] Error $1" >&2; exit 2; }
"""


@pytest.mark.parametrize(
    ("times", "passes", "tried"),
    [
        ("0 0", True, 1),
        ("1 2,0 0", True, 2),
        ("1 5,0 0", True, 2),
        ("1 2,1 1", False, 2),
        ("1 6,0 0", False, 1),
        ("2 1,0 0", False, 1),  # interrupted: who knows what else there was
        ("1 0,0 0", False, 1),
    ],
)
def test_what_fails_beside_others_has_one_more_chance_alone(
    tmp_path: Path, times: str, passes: bool, tried: int
) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text((ROOT / ".ci/run").read_text())
    (tmp_path / "make").write_text(MAKE)
    (tmp_path / "make").chmod(0o755)
    done = subprocess.run(
        ["bash", tmp_path / ".ci/run"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TIMES": times},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == passes, done.stdout + done.stderr
    before, *tests = (tmp_path / "calls").read_text().splitlines()
    assert before == "browser static"
    assert [test.split()[0] for test in tests] == ["test"] * tried
    assert ("passed alone: mend these\nFAILED" in done.stdout) == (passes and tried == 2)
