"""Settings from the environment: a wrong one is named."""

import re
from pathlib import Path

import pytest

from app.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FARMQUEUE_PORT", "abc"),
        ("FARMQUEUE_PORT", "70000"),
        ("FARMQUEUE_LOG_FORMAT", "xml"),
        ("FARMQUEUE_LEASE_SECONDS", "0"),
        ("FARMQUEUE_DATABASE_URL", "mysql://x"),
    ],
)
def test_a_wrong_setting_ends_the_process_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        Settings.from_environment()
    assert ended.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"farmqueue: {name}: ")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_a_database_url_may_be_written_as_operators_paste_it(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("FARMQUEUE_DATABASE_URL", f"{scheme}://u:p@host/farm?sslmode=require")
    found = Settings.from_environment().database_url
    assert found == "postgresql+asyncpg://u:p@host/farm?sslmode=require"


def test_the_table_of_the_operations_has_every_setting() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`FARMQUEUE_([A-Z_]+)`", page))
    assert {name.upper() for name in Settings.model_fields} <= named
    assert (
        f"| `FARMQUEUE_ESTIMATES` | `{str(Settings.model_fields['estimates'].default).lower()}` |"
        in page
    )
