"""Simulations run in processes of their own: this one only hands the bytes on."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError

from app.errors import Invalid, Unavailable
from app.settings import Settings
from app.simulation.confined import SPARE_SECONDS

log = structlog.get_logger()


class SimulationTooLarge(Invalid):
    """It takes more time or memory than a simulation may."""

    code = "simulation_too_large"


class Simulations:
    """Those of this process, at most `simulate_at_once` at a time."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url
        self._running: set[_Run] = set()
        self._places = settings.simulate_at_once
        self._closing = False
        # Threads only start a process and wait for it. They are its own: others' wait for nothing.
        self._threads = ThreadPoolExecutor(self._places or 1, "simulation")

    async def simulate(
        self, body: bytes, gone: Callable[[], Awaitable[Any]] | None = None
    ) -> bytes:
        """The answer's body (`answers.Simulation`) to a request's (`schemas.SimulationRequest`).

        `gone` returns once nobody waits for it any more. Raises `RequestValidationError`,
        `SimulationTooLarge`, and `Unavailable` where too many run already.
        """
        return await self.ask("simulate", body, gone)

    async def ask(
        self, question: str, body: bytes = b"", gone: Callable[[], Awaitable[Any]] | None = None
    ) -> bytes:
        """What the process says to one of its questions, `simulate` or `estimates`."""
        if self._closing or not self._places:
            raise Unavailable("as many simulations as may be are running: try again")
        self._places -= 1
        head = json.dumps({"question": question, "url": self._url}).encode()
        try:
            said, _, answer = (await self._run(head + b"\n" + body, gone)).partition(b"\n")
        finally:
            self._places += 1
        told = json.loads(said)
        if "errors" in told:
            errors = [{"loc": ("body", *place), "msg": why} for place, why in told["errors"]]
            raise RequestValidationError(errors)
        if "too_large" in told:
            raise SimulationTooLarge(told["too_large"])
        return answer

    def close(self) -> None:
        """End all that run, and let none begin."""
        self._closing = True
        for run in list(self._running):
            run.end()
        self._threads.shutdown(wait=False)

    async def _run(self, told: bytes, gone: Callable[[], Awaitable[Any]] | None) -> bytes:
        """What the process says; it is ended where nobody waits for it."""
        run = _Run()
        self._running.add(run)
        loop = asyncio.get_running_loop()
        said = loop.run_in_executor(self._threads, self._serve, run, told)
        watch = asyncio.ensure_future(gone()) if gone is not None else None
        try:
            await asyncio.wait(
                {said, watch} if watch else {said}, return_when=asyncio.FIRST_COMPLETED
            )
            if not said.done():
                run.end()
            return await said
        finally:
            run.end()
            self._running.discard(run)
            if watch:
                watch.cancel()

    def _serve(self, run: "_Run", told: bytes) -> bytes:
        """Start a process, hand the request over, and wait for what it says."""
        seconds = self._settings.simulate_seconds
        process = run.begin([str(seconds), str(self._settings.simulate_memory_mb)])
        try:
            said, complaint = process.communicate(told, timeout=seconds + SPARE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise SimulationTooLarge("it took longer than a simulation may") from None
        if process.returncode:
            raise self._failed(process.returncode, complaint)
        return said

    def _failed(self, code: int, complaint: bytes) -> Exception:
        """It ended badly: by a limit, by whoever ended it, or by a fault."""
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        if self._closing:
            return Unavailable("the service stops: ask again, there may be another")
        if code < 0 or last.startswith("MemoryError"):
            return SimulationTooLarge("it took more time or memory than a simulation may")
        log.error("simulation_failed", code=code, error=last)
        return Unavailable("the simulation failed: the service's log has the reason")


class _Run:
    """One process, which may be told to end before it is there."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def begin(self, limits: list[str]) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(  # noqa: S603  # nosec B603  # nothing of a request is in it
            [sys.executable, "-m", "app.simulation.worker", *limits],
            env={name: value for name, value in os.environ.items() if not _is_ours(name)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # of which both plays together get no more than one would
        )
        if self._over:
            self._process.kill()
        return self._process

    def end(self) -> None:
        self._over = True
        if self._process is not None:
            self._process.kill()


def _is_ours(name: str) -> bool:
    """Settings, the admin token among them: the process is told what it needs."""
    return name.startswith("FARMQUEUE_")
