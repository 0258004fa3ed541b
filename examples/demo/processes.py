"""The demo's child processes: the service and the agents, and their end."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from farmqueue.client import Client
from farmqueue.errors import Unavailable

PROGRAM = [sys.executable, "-m", "farmqueue"]
READY_WITHIN = 60.0  # seconds; the first start makes the database
STOP_WITHIN = 20.0
PORTS = 20  # tried, from the wanted one on
LOG_LINES = 12


class DemoFailed(Exception):
    """The demo cannot go on; the message is for whoever started it."""


@dataclass(frozen=True)
class Child:
    """A process of the demo, and the file that it writes its log to."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def must_live(self) -> None:
        """DemoFailed, with the end of its log, when the process is over."""
        if (code := self.process.poll()) is not None:
            tail = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            said = "\n  ".join([f"the end of {self.log}:", *tail])
            raise DemoFailed(f"{self.name} ended with exit code {code}; {said}")


@contextmanager
def service(data_dir: Path, host: str, port: int, token: str) -> Iterator[Child]:
    """The service, on the embedded PostgreSQL unless FARMQUEUE_DATABASE_URL names another."""
    settings = {
        "FARMQUEUE_DATA_DIR": str(data_dir),
        "FARMQUEUE_ROOT_PATH": "",
        "FARMQUEUE_ADMIN_TOKEN": token,
    }
    command = ["serve", "--host", host, "--port", str(port)]
    with _child("the service", command, data_dir / "service.log", settings) as child:
        yield child


def admin_token(data_dir: Path) -> str:
    """The admin token of the demo's farm, kept where the service keeps one and commands find it."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data_dir / "admin-token"
    with suppress(FileExistsError):
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as out:
            out.write(f"{secrets.token_hex(32)}\n")
    return file.read_text(encoding="ascii").strip()


@contextmanager
def agents(data_dir: Path, url: str, count: int, token: str) -> Iterator[Child]:
    """One process with so many agents, let in by a join token; each may use one core."""
    state = str(data_dir / "agents")
    settings = {"FARMQUEUE_URL": url, "FARMQUEUE_TOKEN": token}
    command = ["agent", "--slots", str(count), "--cpus", str(count), "--state-dir", state]
    with _child("the agents", command, data_dir / "agents.log", settings) as child:
        yield child


def wait_until_ready(client: Client, child: Child) -> None:
    """Return when the service can work; DemoFailed when it ends or takes too long."""
    deadline = time.monotonic() + READY_WITHIN
    while True:
        child.must_live()
        try:
            client.ready()
        except Unavailable as error:
            if time.monotonic() > deadline:
                why = f"not ready after {READY_WITHIN:.0f} seconds: {error}"
                raise DemoFailed(f"{child.name} is {why}; its log is {child.log}") from error
            time.sleep(0.1)
        else:
            return


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next that is free, and then says so; DemoFailed when none is."""
    for port in range(wanted, min(wanted + PORTS, 65_536)):
        if _is_free(host, port):
            if port != wanted:
                print(f"Port {wanted} is taken: using {port} (FARMQUEUE_PORT chooses another).")
            return port
    raise DemoFailed(f"no free port from {wanted} on: set FARMQUEUE_PORT")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@contextmanager
def _child(
    name: str, command: list[str], log: Path, settings: Mapping[str, str]
) -> Iterator[Child]:
    """A farmqueue command that runs beside; it is over when the block is left."""
    process = None
    try:
        with log.open("wb") as output, _undisturbed():
            process = subprocess.Popen(  # noqa: S603  # our own program, fixed arguments
                [*PROGRAM, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **settings},
                start_new_session=True,  # Ctrl-C is for the demo, which ends its children in order
            )
        yield Child(name, process, log)
    finally:
        if process:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, and kill it when it does not within reason."""
    with _undisturbed():
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back for a moment in which they would leave a process behind."""
    received: list[int] = []
    held = (signal.SIGINT, signal.SIGTERM)
    before = {which: signal.signal(which, lambda n, _: received.append(n)) for which in held}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
        for number in received[:1]:
            signal.raise_signal(number)
