"""`farmqueue serve`, `migrate` and `audit`: the service, where its parts are installed."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from farmqueue.cli.exits import Exit, complain
from farmqueue.cli.output import print_json, print_rows


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
) -> None:
    """Run the service, with its settings from FARMQUEUE_* variables."""
    if host is not None:
        os.environ["FARMQUEUE_HOST"] = host
    if port is not None:
        os.environ["FARMQUEUE_PORT"] = str(port)
    gc.disable()  # what is imported stays: nobody is to look through it, now or later
    with _server_installed():
        from app.main import serve as run_service  # noqa: PLC0415
    gc.freeze()
    gc.enable()
    run_service()


def migrate(
    service_role: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE", help="Let this database role run the service. May be repeated."
        ),
    ] = None,
    read_role: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE", help="Let this database role read the farm. May be repeated."),
    ] = None,
) -> None:
    """Bring the database (FARMQUEUE_DATABASE_URL, or the embedded one) to this version's schema.

    Roles that are named get what they need, no less and no more: a service that can change no
    table and no history, a reader that sees no token's digest. Name them at each migration.
    """
    with _server_installed():
        from app import logs  # noqa: PLC0415
        from app.db.migrations import upgrade  # noqa: PLC0415
        from app.settings import Settings  # noqa: PLC0415
    settings = Settings.from_environment()
    logs.configure(settings.log_format, settings.log_level)
    upgrade(settings, service_role or (), read_role or ())


def audit(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    history: Annotated[
        bool, typer.Option(help="Play the history back too; it is read whole.")
    ] = True,
) -> None:
    """Check the database (FARMQUEUE_DATABASE_URL, or the embedded one) while the farm works.

    It reads only. What is stored is compared with a recount, the history that is still kept is
    played back against the rules. 1 where something is wrong, with what to do.
    """
    with _server_installed():
        from app.audit.service import audit_of  # noqa: PLC0415
        from app.settings import Settings  # noqa: PLC0415
    told = audit_of(Settings.from_environment(), history=history)
    if isinstance(told, str):
        complain(told)
        raise typer.Exit(Exit.UNREACHABLE)
    if as_json:
        print_json(told)
    else:
        _print_findings(told)
    if told["counts"]:
        raise typer.Exit(Exit.FAILED)


def _print_findings(told: dict[str, Any]) -> None:
    """A row for each finding; on stderr what was looked at, and what to do."""
    rows = [(one["check"], one["subject"], one["detail"]) for one in told["findings"]]
    if rows:
        print_rows(("check", "what", "finding"), rows)
    history = told["history"]
    since = f" since {history['since']}" if history["since"] else ""
    sys.stderr.write(
        f"{sum(told['counts'].values())} findings;"
        f" {history['assignments']} assignments of the history played back{since}\n"
    )
    for what, number in history["not_judged"].items():
        sys.stderr.write(f"  not judged, the history begins later: {number} {what}\n")
    for check, number in told["counts"].items():
        sys.stderr.write(f"{check} ({number}): {told['advice'][check]}\n")


@contextlib.contextmanager
def _server_installed() -> Iterator[None]:
    # The service is an extra: a render node has no database driver and no web framework.
    try:
        yield
    except ModuleNotFoundError as error:
        complain(
            f"the service is not installed here (no module {error.name})",
            "pip install 'farmqueue[server]' adds it, 'farmqueue[server,embedded]' with PostgreSQL",
        )
        raise typer.Exit(Exit.FAILED) from None
