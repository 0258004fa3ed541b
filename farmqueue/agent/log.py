"""Log lines of the agent on stderr: time, level, event, then `name=value` fields, one line each."""

import json
import logging
import sys
import time
from typing import Any, Protocol

_LOGGER = logging.getLogger("farmqueue.agent")


class Say(Protocol):
    """Writes one event with its fields."""

    def __call__(self, event: str, *, level: int = logging.INFO, **fields: Any) -> None: ...


def say(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event; a field that is None is left out."""
    words = [f"{name}={_word(value)}" for name, value in fields.items() if value is not None]
    _LOGGER.log(level, "%s", "  ".join([event, " ".join(words)]) if words else event)


def to_stderr() -> None:
    """Send the log to stderr, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    form = logging.Formatter("%(asctime)sZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    handler.setFormatter(form)
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False


def _word(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    plain = text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain and text else json.dumps(text)
