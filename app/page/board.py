"""The board: one for a process. It looks what changed, a few times a second while somebody watches.

Each change is made into bytes once, for all that watch. Nobody has a buffer of their own: who
watches reads on in the log of their topic, and who falls behind by more than is kept there is told
to load what they show anew. A page says from where in the log on it wants to hear.

Where nobody watched, a page that is made has the board look for the first time, beside it: should
something have changed meanwhile, the page is told to load what it shows anew.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import Any
from uuid import uuid4

import structlog
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from app.errors import Unavailable
from app.figures import picture
from app.figures.picture import Away, parts
from app.page.sessions import Session
from app.plan.entitlements import Entitlements
from app.scheduler.desk import Desk
from app.scheduler.figures import QueueFigures
from app.scheduler.kept import KeptFarm

log = structlog.get_logger()

# Between two looks; longer where a look takes more than this part of a core. A collection of
# garbage may fall into one look: nobody waits ever longer for that.
LOOK_SECONDS = 0.4
LONGEST_SECONDS = 5.0
PART = 0.04

MOST_VIEWERS = 500
KEPT_BYTES = 4_000_000
KEPT_CHANGES = 64
PING_SECONDS = 15.0
CHECK_SECONDS = 1.0

# Rows that are compared in a millisecond.
LOOKED_AT = 5_000

Rows = Mapping[Any, Hashable]


@dataclass(slots=True, eq=False)
class Topic:
    """The rows of one kind, and what changed of them lately."""

    name: str
    read: Callable[[KeptFarm], Awaitable[Rows]]
    rows: Rows | None = None
    number: int = 0
    log: deque[tuple[int, bytes]] = field(default_factory=deque)
    viewers: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    # What the rows are of, or will be: kept farm, rounds of the desk, shares.
    of: tuple[int, ...] = ()
    expected: bool = False  # somebody will watch in a moment

    def since(self, number: int) -> list[bytes] | None:
        """What came after that number; None where it is not known any more."""
        if number == self.number:
            return []
        if number > self.number or not self.log or self.log[0][0] > number + 1:
            return None
        return [sent for at, sent in self.log if at > number]

    def forget(self, of: tuple[int, ...]) -> None:
        """The rows are to be read; who was shown what was before has to load it anew."""
        self.rows, self.of = None, of
        self.number += 1
        self.log.clear()
        self.tell()

    def tell(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def publish(self, change: dict[str, Any], epoch: str) -> None:
        self.number += 1
        sent = format_sse_event(
            event="change",
            data_str=json.dumps(change, separators=(",", ":")),
            id=f"{epoch}-{self.number}",
        )
        self.log.append((self.number, sent))
        while len(self.log) > KEPT_CHANGES or sum(len(one) for _, one in self.log) > KEPT_BYTES:
            self.log.popleft()
        self.tell()


class Board:
    """What those who watch this process are told."""

    def __init__(self, desk: Desk, figures: QueueFigures, entitlements: Entitlements) -> None:
        self._desk = desk
        self._figures = figures
        self._entitlements = entitlements
        self._epoch = uuid4().hex[:8]
        self._closing = False
        self._wanted = asyncio.Event()
        self._looking = asyncio.Lock()
        self._spent = 0.0  # processor's seconds, since the looks at all topics began
        self.topics = {
            topic.name: topic
            for topic in (
                Topic("queues", self._queues),
                Topic("jobs", picture.jobs),
                Topic("agents", picture.agents),
            )
        }

    @property
    def viewers(self) -> int:
        return sum(topic.viewers for topic in self.topics.values())

    async def run(self) -> None:
        """Look what changed for as long as somebody watches, for ever."""
        while True:
            await self._wanted.wait()
            if not self.viewers:
                self._wanted.clear()
            self._spent = 0.0
            await self._look()
            await asyncio.sleep(pause(self._spent))

    def mark(self, name: str) -> str:
        """Where the topic's log is now: what a page shows that is read hereafter is no older."""
        topic = self.topics[name]
        if not topic.viewers:  # nobody looked lately
            of = self._of(topic)
            if of != topic.of:
                topic.forget(of)
            topic.expected = True
            self._wanted.set()
        return self._at(topic)

    async def rows(self, name: str) -> tuple[str, Rows]:
        """The rows of a topic as they were looked at last, or are now; and their mark."""
        topic = self.topics[name]
        if topic.rows is None or not topic.viewers:
            await self._look_at(topic)
        return self._at(topic), topic.rows or {}

    async def watch(self, name: str, mark: str, session: Session) -> AsyncGenerator[bytes]:
        """What changes from that mark on, as bytes of events, for as long as the session stands."""
        if self.viewers >= MOST_VIEWERS:
            raise Unavailable("too many watch this page just now: it is shown as it was")
        topic = self.topics[name]
        topic.viewers += 1
        self._wanted.set()
        try:
            async for sent in self._follow(topic, mark, session):
                yield sent
        finally:
            topic.viewers -= 1

    def close(self) -> None:
        """Let everybody go: the service stops."""
        self._closing = True
        for topic in self.topics.values():
            topic.news.set()

    async def _follow(self, topic: Topic, mark: str, session: Session) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=1_000)
        epoch, _, number = mark.rpartition("-")
        at = int(number) if epoch == self._epoch and number.isdecimal() else -1
        quiet = monotonic()
        while not self._closing:
            if not session.stands():
                yield format_sse_event(event="over", data_str="{}")
                return
            news = topic.news
            sent = topic.since(at)
            at = topic.number
            if sent is None:
                sent = [format_sse_event(event="stale", data_str="{}", id=self._at(topic))]
            if not sent and monotonic() - quiet > PING_SECONDS:
                sent = [KEEPALIVE_COMMENT]
            if sent:
                quiet = monotonic()
                yield b"".join(sent)
            else:
                await _within(CHECK_SECONDS, news)

    def _at(self, topic: Topic) -> str:
        return f"{self._epoch}-{topic.number}"

    async def _look(self) -> None:
        for topic in self.topics.values():
            if topic.viewers or topic.expected:
                topic.expected = False
                try:
                    await self._look_at(topic)
                except Exception:  # whatever it is, the next look may succeed
                    log.exception("board_failed", topic=topic.name)

    async def _look_at(self, topic: Topic) -> None:
        async with self._looking:
            kept = self._desk.kept
            if kept is None:
                return
            of = self._of(topic)
            if of != topic.of or topic.rows is None:
                began, away = thread_time(), Away.seconds
                await self._read(topic, kept, of)
                self._spent += thread_time() - began - (Away.seconds - away)

    async def _read(self, topic: Topic, kept: KeptFarm, of: tuple[int, ...]) -> None:
        before, rows = topic.rows, await topic.read(kept)
        if before is None and not of == topic.of == self._of(topic):
            topic.forget(of)
        topic.rows, topic.of = rows, of
        change = {} if before is None else await changed(before, rows)
        if change:
            topic.publish(change, self._epoch)

    def _of(self, topic: Topic) -> tuple[int, ...]:
        shares = self._entitlements.now() if topic.name == "queues" else None
        return id(self._desk.kept), self._desk.rounds, id(shares)

    async def _queues(self, kept: KeptFarm) -> Rows:
        """With the shape of each queue, by which another one is another row."""
        rows = await picture.queues(kept, self._entitlements.now(), self._figures.below)
        found: dict[Any, Hashable] = {(0, picture.ROOT): rows[0]}
        async for some in parts(list(kept.queues.values())):
            for queue in some:
                if queue.id in rows:
                    found[queue.id, picture.shape(kept, queue)] = rows[queue.id]
        return found


def pause(spent: float) -> float:
    """Seconds until the next look, after one that took so many of a processor."""
    return min(max(LOOK_SECONDS, spent / PART), LONGEST_SECONDS)


async def changed(before: Rows, after: Rows) -> dict[str, Any]:
    """The rows that are others now; the keys that are gone, and how many are new."""
    rows: list[Hashable] = []
    new = 0
    async for some in parts(list(after.items()), LOOKED_AT):
        rows += [row for key, row in some if key in before and before[key] != row]
        new += sum(key not in before for key, _ in some)
    gone = [_id(key) for key in before if key not in after]
    found = {"rows": rows, "gone": gone, "new": new}
    return {name: value for name, value in found.items() if value}


def _id(key: Any) -> Any:
    return key[0] if isinstance(key, tuple) else key


async def _within(seconds: float, news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        pass
