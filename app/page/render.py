"""Templates to HTML, with what each page needs around it."""

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app import docs_pages
from app.access import Right
from app.page.sessions import Session

HERE = Path(__file__).parent
STATIC = HERE / "static"

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def ago(moment: datetime | None) -> str:
    """3 s, 5 min, 2 h, 4 d: how long something is past, in a word."""
    return "" if moment is None else span((datetime.now(UTC) - moment).total_seconds())


def ahead(moment: datetime) -> str:
    """Any moment, in 3 s, in 5 min: how long something is to come."""
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return f"in {span(seconds)}" if seconds >= 1 else "any moment"


def span(seconds: float) -> str:
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{int(seconds // unit)} {name}"
    return f"{max(0, int(seconds))} s"


def moment(at: datetime | None) -> str:
    """A moment to the second, in UTC; browsers show theirs from the element's datetime."""
    return "" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"ago": ago, "ahead": ahead, "span": span, "moment": moment}
# Half of a million would be sent as digits that nobody reads.
TEMPLATES.filters["number"] = lambda number: f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def stamps() -> dict[str, str]:
    """A stamp for each file that pages ask for: another release's is asked for anew."""
    found = [*STATIC.iterdir(), *(docs_pages.STATIC / name for name in VENDORED)]
    return {file.name: sha256(file.read_bytes()).hexdigest()[:12] for file in found}


VENDORED = (
    "htmx/htmx.min.js",
    "idiomorph/idiomorph-ext.min.js",
    "uplot/uPlot.iife.min.js",
    "uplot/uPlot.min.css",
)
STAMPS = stamps()


def page(request: Request, session: Session | None, name: str, **shown: Any) -> HTMLResponse:
    """A whole page; `session` is None for who is not logged in."""
    return HTMLResponse(html(request, session, name, **shown))


def html(request: Request, session: Session | None, name: str, **shown: Any) -> str:
    root: str = request.scope.get("root_path", "").rstrip("/")
    return TEMPLATES.get_template(name).render(
        root=root,
        asset=lambda path: f"{root}/static/{path}?v={STAMPS[path.rpartition('/')[2]]}",
        session=session,
        caller=session and session.caller,
        rights=_rights(session),
        path=request.url.path.removeprefix(root),
        **shown,
    )


def _rights(session: Session | None) -> frozenset[str]:
    """Names of the rights, for templates: EDIT_QUEUES, EDIT_JOBS and the like."""
    if session is None:
        return frozenset()
    return frozenset(right.name for right in Right if session.caller.has(right))
