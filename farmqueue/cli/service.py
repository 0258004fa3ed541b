"""`farmqueue serve` and `farmqueue migrate`: the service, where its parts are installed."""

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated

import typer

from farmqueue.cli.exits import Exit, complain


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on.")] = None,
) -> None:
    """Run the service, with its settings from FARMQUEUE_* variables."""
    if host is not None:
        os.environ["FARMQUEUE_HOST"] = host
    if port is not None:
        os.environ["FARMQUEUE_PORT"] = str(port)
    with _server_installed():
        from app.main import serve as run_service  # noqa: PLC0415
    run_service()


def migrate() -> None:
    """Bring the database (FARMQUEUE_DATABASE_URL, or the embedded one) to this version's schema."""
    with _server_installed():
        from app.db.migrations import upgrade  # noqa: PLC0415
        from app.settings import Settings  # noqa: PLC0415
    upgrade(Settings.from_environment())


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
