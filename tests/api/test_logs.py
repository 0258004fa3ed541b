"""Log lines: what an operator can act on, and nothing that nobody should read."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from app import logs

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def fail(authorization: str) -> None:
    held = {"authorization": authorization}
    raise RuntimeError(f"boom of {len(held)}")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_logged_fault_has_its_traceback_and_nothing_of_what_its_frames_hold(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.configure(log_format)
    try:
        fail(SECRET)
    except RuntimeError as fault:
        structlog.get_logger().error("request_failed", path="/jobs", exc_info=fault)
    written = capsys.readouterr().err
    assert "request_failed" in written
    assert "boom of 1" in written
    assert "in fail" in written
    assert SECRET not in written
