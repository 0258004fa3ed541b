"""The service as a real process, on a free port of this machine."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

START_SECONDS = 90
TLS = ssl.create_default_context()  # made once: a client that makes its own takes 20 ms to begin


@contextmanager
def service(database: str, log: Path, **settings: object) -> Iterator[str]:
    """A process that serves `database`; its URL, once it is ready. It is stopped by SIGTERM."""
    with services(database, [log], **settings) as [url]:
        yield url


@contextmanager
def running_service(database: str, log: Path, **settings: object) -> Iterator[tuple[str, int]]:
    """The same, with its process id."""
    with _process(log, _on(database) | settings) as (process, url, _):
        until_ready(process, url, log)
        yield url, process.pid


@contextmanager
def services(database: str, logs: list[Path], **settings: object) -> Iterator[list[str]]:
    """Several of them at once, a log for each."""
    with ExitStack() as running:
        started = [running.enter_context(_process(log, _on(database) | settings)) for log in logs]
        for process, url, log in started:
            until_ready(process, url, log)
        yield [url for _, url, _ in started]


@contextmanager
def embedded_service(data: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves the embedded database under `data`, once it is ready."""
    with _process(log, {"data_dir": data}) as (process, url, _):
        until_ready(process, url, log)
        yield process


Started = tuple[subprocess.Popen[bytes], str, Path]


@contextmanager
def _process(log: Path, settings: dict[str, object]) -> Iterator[Started]:
    port = free_port()
    process = spawn(log, settings | {"port": port})
    try:
        yield process, f"http://127.0.0.1:{port}", log
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def spawn(
    log: Path, settings: dict[str, object], environ: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """A process with these settings, its log added to what is there; the caller ends it."""
    told = {f"FARMQUEUE_{name.upper()}": str(value) for name, value in settings.items()}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "farmqueue", "serve"],
            env={**os.environ, **told, **(environ or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(verify=TLS) as http:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the service ended: {log.read_text()}")
            try:
                if http.get(f"{url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
    raise TimeoutError(f"the service was never ready: {log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _on(database: str) -> dict[str, object]:
    return {"database_url": database.replace("+asyncpg", "")}
