"""Processes whose clock is wrong: all that they and their children are told of the time of day.

By the library of `faketime`, which `make faketime` installs; how long things take stays true.
"""

import os
import shutil
import subprocess
import sys

# What the command itself would set up, of which only the library is of use to a process that lasts.
_PRELOADED = "import os; print(os.environ['LD_PRELOAD'])"


def shifted(hours: int) -> dict[str, str]:
    """The environment of a process whose clock is so many hours ahead."""
    command = shutil.which("faketime")
    assert command is not None, "a clock that is wrong needs faketime: make faketime"
    found = subprocess.run(
        [command, "-m", "now", sys.executable, "-c", _PRELOADED],
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "LD_PRELOAD": found.stdout.strip(),
        "FAKETIME": f"{hours:+d}h",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
