"""Shell scripts and the workflow, read by the tools that know their traps."""

import os
import subprocess
import sys
from pathlib import Path

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
    for runner in (WORKFLOW, ROOT / ".ci/run"):
        assert "make browser check" in runner.read_text()
