"""`make audit` fails where something is known, and where nothing is."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOLE = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "requirements/audit.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def package(*holes: dict[str, Any]) -> dict[str, Any]:
    return {"name": "sand", "version": "1.0", "vulns": list(holes)}


NOT_ASKED = {"name": "clay", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "ignored", "code"),
    [
        ([package()], {}, 0),
        ([package(HOLE)], {}, 1),
        ([package(HOLE)], {"CVE-1": "not called"}, 0),
        ([package(HOLE)], {"CVE-2": "not called"}, 1),
        ([package(), NOT_ASKED], {}, 2),
        ([package(HOLE), NOT_ASKED], {}, 1),
        ([], {}, 2),
    ],
)
def test_only_where_all_was_looked_at_and_nothing_found_it_is_0(
    audit: ModuleType, packages: list[Any], ignored: dict[str, str], code: int
) -> None:
    assert audit.judged({"dependencies": packages}, ignored) == code


def test_a_finding_says_what_mends_it(
    audit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.judged({"dependencies": [package(HOLE)]}, {})
    assert capsys.readouterr().out == "sand 1.0: PYSEC-1, mended in 2.0\n"


def test_what_is_ignored_has_its_reason(audit: ModuleType) -> None:
    assert audit.explained("# all\n\nCVE-1 # not called\n") == {"CVE-1": "not called"}
    with pytest.raises(SystemExit, match="CVE-2"):
        audit.explained("CVE-2\n")
    audit.explained(audit.IGNORED.read_text())
