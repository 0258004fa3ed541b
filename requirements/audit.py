"""Ask PyPI for known vulnerabilities of all that the lock files name: `make audit`.

0: there is none. 1: there are some that requirements/audit-ignored.txt does not explain. 2: not
all were audited, so that nothing is known.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# run.txt and server.txt are subsets of dev.txt.
LOCKS = (
    HERE / "dev.txt",
    HERE / "uv.txt",
    HERE.parent / "benchmarks" / "peers-requirements.txt",
)
IGNORED = HERE / "audit-ignored.txt"


def main() -> int:
    ignored = explained(IGNORED.read_text())
    command = [str(Path(sys.executable).parent / "pip-audit"), "--format=json"]
    command += ["--vulnerability-service=pypi", "--progress-spinner=off"]
    # Every version has its hash: what is audited is what is installed, with no resolver between.
    command += ["--disable-pip", "--require-hashes", *(f"--requirement={lock}" for lock in LOCKS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        report = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        sys.stderr.write(f"audit: PyPI could not be asked, so that nothing is known: {last[0]}\n")
        return 2
    return judged(report, ignored)


def explained(text: str) -> dict[str, str]:
    """What is ignored, with the reason; one without a reason is an error."""
    found = {}
    for line in text.splitlines():
        name, _, reason = line.partition("#")
        if name.strip():
            if not reason.strip():
                raise SystemExit(
                    f"audit: {IGNORED.name}: {name.strip()} needs its reason: ID # why"
                )
            found[name.strip()] = reason.strip()
    return found


def judged(report: dict[str, Any], ignored: dict[str, str]) -> int:
    """Say what was found, and what was not looked at; the exit code."""
    packages = report["dependencies"]
    findings = list(_findings(packages, ignored))
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    sys.stdout.writelines(f"{finding}\n" for finding in findings)
    if unknown or not packages:
        named = ", ".join(unknown[:5]) + (", …" if len(unknown) > len(unknown[:5]) else "")
        sys.stderr.write(
            f"audit: {len(unknown)} of {len(packages)} packages could not be audited ({named}): "
            "PyPI did not answer for them, so that nothing is known. Is it reached itself, or a "
            "mirror without its JSON API?\n"
        )
    if findings:
        return 1
    return 2 if unknown or not packages else 0


def _findings(packages: list[dict[str, Any]], ignored: dict[str, str]) -> Iterator[str]:
    for one in packages:
        for hole in one.get("vulns", ()):
            if not {hole["id"], *hole.get("aliases", ())} & ignored.keys():
                fixed = ", ".join(hole["fix_versions"]) or "no version yet"
                yield f"{one['name']} {one['version']}: {hole['id']}, mended in {fixed}"


if __name__ == "__main__":
    raise SystemExit(main())
