"""The process beside this one that makes plans: begun when it is needed, ended when it is not."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from app.errors import AppError, FieldError, Invalid, Unavailable
from app.plan.making import Asked, Orders
from app.simulation.confined import NICE

# Nobody waits longer for an answer, those before it in line included.
LONGEST_SECONDS = 60
# What an answer may take by itself is less, so that it is known whether it is large or all is busy.
PROCESSOR_SECONDS = 40
MEMORY_MB = 1_024
IDLE_SECONDS = 60

_TOO_LONG = "to look at the whole farm takes too long now: try again"

# The process ended before it answered; the errors of pipes among them.
_GONE = (ConnectionError, asyncio.IncompleteReadError, json.JSONDecodeError)


class PlanTooLarge(Invalid):
    """It takes more time or memory than a plan may."""

    code = "plan_too_large"


@dataclass(slots=True, eq=False)
class Workshop:
    """One question at a time, each with so much memory and so much of a processor at most."""

    url: str
    memory_mb: int = MEMORY_MB
    processor_seconds: float = PROCESSOR_SECONDS
    nice: int = NICE
    _process: asyncio.subprocess.Process | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _alarm: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator["Turn"]:
        """It is one's own turn to ask; others wait."""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(_TOO_LONG) from None
        try:
            yield Turn(self)
        finally:
            self._turn.release()

    @asynccontextmanager
    async def urgent_turn(self) -> AsyncIterator["Turn"]:
        """One's turn with a process that is there already and waits for no other: all wait for it.

        What is behind others may never be before them again, so it is a process of its own.
        """
        async with self.turn():
            urgent = Workshop(self.url, self.memory_mb, self.processor_seconds, nice=0)
            try:
                await urgent.ask({"about": "nothing"}, b"")
                yield Turn(urgent)
            finally:
                await urgent.close()

    async def plan(self, body: bytes, asked: Asked) -> bytes:
        """The plan as JSON. Raises what the file is refused with."""
        async with self.turn():
            _, content = await self.ask({"about": "plan", "asked": asdict(asked)}, body)
        return content

    async def orders(self, body: bytes, asked: Asked) -> tuple[bytes, Orders]:
        """The plan as JSON, and what carries it out."""
        async with self.turn() as mine:
            return await mine.orders(body, asked)

    async def shares(self) -> Mapping[int, int]:
        """The agents that each queue is entitled to now, by id; the root by 0."""
        [now] = await self._shares([])
        return now

    async def tried(
        self, queue_id: int, settings: Mapping[str, Any]
    ) -> tuple[Mapping[int, int], Mapping[int, int]]:
        """The same, and as if a queue had these settings (columns of its row), of one moment."""
        now, then = await self._shares([(queue_id, settings)])
        return now, then

    async def _shares(self, tried: Sequence[tuple[int, Mapping[str, Any]]]) -> list[dict[int, int]]:
        async with self.turn():
            _, content = await self.ask({"about": "shares", "tried": tried}, b"")
        return [
            {int(queue_id): count for queue_id, count in found.items()}
            for found in json.loads(content)
        ]

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if self._alarm is not None:
            self._alarm.cancel()
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def ask(self, question: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """In one's turn: what the process says. Raises what it refuses."""
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                told, content = await self._answer(question, body)
        except TimeoutError:
            raise Unavailable(_TOO_LONG) from None
        if told.get("too_large"):
            raise PlanTooLarge(
                f"it takes more than the {self.memory_mb} MB and the {self.processor_seconds:g}"
                " seconds of a processor that it may have: describe parts of the tree with `root`"
            )
        if told.get("failed"):
            raise RuntimeError("the process that makes plans failed; its error is in the log above")
        if "refused" in told:
            raise _refusal(told)
        return told, content

    async def _answer(
        self, question: Mapping[str, Any], body: bytes
    ) -> tuple[dict[str, Any], bytes]:
        """Whatever goes wrong, no half of an answer is left for who asks next."""
        try:
            process = await self._running()
            return await _exchanged(process, {**question, "url": self.url}, body)
        except _GONE as gone:
            await self.close()
            raise Unavailable("the process that makes plans ended: try again") from gone
        except BaseException:
            await self.close()
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(IDLE_SECONDS + LONGEST_SECONDS, self._end)
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app.plan.worker"),
                *(str(self.memory_mb), str(self.processor_seconds), str(self.nice)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={name: value for name, value in os.environ.items() if not _is_ours(name)},
                start_new_session=True,  # a Ctrl-C at the terminal is for the service to hear
            )
        return self._process

    def _end(self) -> None:
        """Nobody asked for long: its input ends, and so does it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The workshop is one's own."""

    workshop: Workshop

    async def orders(self, body: bytes, asked: Asked) -> tuple[bytes, Orders]:
        """As `Workshop.orders`."""
        told, content = await self.workshop.ask({"about": "orders", "asked": asdict(asked)}, body)
        return content, Orders(**told["orders"])


async def _exchanged(
    process: asyncio.subprocess.Process, question: Mapping[str, Any], body: bytes
) -> tuple[dict[str, Any], bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    line = json.dumps({**question, "length": len(body)}).encode() + b"\n"
    process.stdin.write(line + body)
    await process.stdin.drain()
    size = int.from_bytes(await process.stdout.readexactly(8), "big")
    told: dict[str, Any] = json.loads(await process.stdout.readexactly(size))
    return told, await process.stdout.readexactly(told["length"])


def _is_ours(name: str) -> bool:
    """A setting of the service, the admin token among them: the process needs none."""
    return name.upper().startswith("FARMQUEUE_")


def _refusal(told: Mapping[str, Any]) -> AppError:
    kind = Unavailable if told["status"] == Unavailable.status else Invalid
    refused = kind(told["refused"])
    refused.errors = [FieldError(**error) for error in told["errors"]]
    return refused
