"""What the Dockerfile promises before it is built; build_and_run.sh proves the rest."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments) in order, comments out, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).split("\n")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines) if name]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


def test_hadolint_has_nothing_to_say() -> None:
    linted = subprocess.run(
        [BIN / "hadolint", "--failure-threshold=style", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def test_the_base_is_an_argument_of_every_stage() -> None:
    assert instructions()[0][0] == "ARG"
    assert arguments("ARG")[0].startswith("BASE=")
    assert [line.split()[0] for line in arguments("FROM")] == ["${BASE}", "${BASE}"]


def test_it_runs_as_a_user_that_is_not_root_and_has_a_fixed_number() -> None:
    assert arguments("USER")[-1] == "10001:10001"
    assert instructions().index(("USER", "10001:10001")) > instructions().index(
        ("COPY", "--from=build /opt/farmqueue /opt/farmqueue")
    )


def test_libraries_come_as_wheels_checked_against_the_lock() -> None:
    installs = [
        command
        for line in arguments("RUN")
        for command in line.split("&&")
        if " install " in command and "pip" in command
    ]
    assert len(installs) == 3
    for command in installs:
        locked = "--require-hashes" in command and "--only-binary :all:" in command
        ours = "--no-index --compile-bytecode /wheels/farmqueue-*.whl" in command
        assert locked or ours, command


def test_what_builds_the_wheel_comes_from_the_lock_too() -> None:
    (build,) = (line for line in arguments("RUN") if "uv build" in line)
    assert "--build-constraints requirements/run.txt --require-hashes" in build


def test_the_context_is_only_what_the_image_is_built_from() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    kept = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    assert rules[0] == "*"
    assert kept
    assert [path for path in kept if not (ROOT / path).exists()] == []


def test_the_health_check_asks_whether_the_process_lives() -> None:
    (check,) = arguments("HEALTHCHECK")
    assert "'/healthz'" in check
    assert "FARMQUEUE_PORT" in check
