"""Processes that leave the processor to others."""

import subprocess
import sys
from pathlib import Path

import pytest

# What is said to the system of the session goes into a file instead.
GIVES_WAY = """
import os, sys
from pathlib import Path
from app.simulation import confined
confined.AUTOGROUP = Path(sys.argv[1])
before = os.nice(0)
confined.give_way(3)
print(os.nice(0) - before)
"""


@pytest.mark.parametrize(("leads", "said"), [(True, "3\n"), (False, "")])
def test_a_process_gives_way_as_does_its_session_if_it_is_its_own(
    tmp_path: Path, *, leads: bool, said: str
) -> None:
    session = tmp_path / "autogroup"
    session.touch()
    done = subprocess.run(
        [sys.executable, "-c", GIVES_WAY, str(session)],
        capture_output=True,
        check=True,
        start_new_session=leads,
    )
    assert done.stdout == b"3\n"
    assert session.read_text() == said


def test_a_process_gives_way_where_sessions_are_no_matter(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GIVES_WAY, str(tmp_path / "no" / "autogroup")],
        capture_output=True,
        check=True,
        start_new_session=True,
    )
    assert done.stdout == b"3\n"
