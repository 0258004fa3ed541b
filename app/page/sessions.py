"""Sessions: a browser holds a cookie in place of a token, and is worth what that token is.

The cookie is 256 random bits, of which the database has the SHA-256. Whether the token is valid is
asked of those that the gate asks, so that a session ends when its token does.
"""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.access import Right, holders, may
from app.caller import Caller
from app.db.driver import AWAY
from app.db.failures import first_line
from app.errors import Forbidden
from app.gate import Gate, address_of
from app.page import session_store as store
from app.settings import Settings
from app.tokens import secret
from app.tokens.known import Known
from app.tokens.secret import Parsed

log = structlog.get_logger()

NAME = "farmqueue_session"
SECRET_BYTES = 32
HOUR = 3_600
MOST_SEEN = 5_000
# How often it is asked whether the sessions of streams were ended elsewhere.
CHECK_SECONDS = 5
# Cookies never seen of one address that wait at a time, once it sent too many wrong ones.
MOST_WAITING = 20


class NotForThePage(Forbidden):
    """The token is valid, and for something else than the page."""

    code = "not_for_the_page"


@dataclass(slots=True, eq=False, weakref_slot=True)
class Session:
    """Somebody who is logged in. `csrf` comes back with whatever changes something."""

    digest: bytes
    csrf: str
    caller: Caller
    deadline: float
    ended: bool = False

    def stands(self) -> bool:
        """Whether it is valid, as far as this process heard."""
        return not self.ended and self.caller.stands() and time.monotonic() < self.deadline


@dataclass(slots=True, eq=False)
class Line:
    """Those of one address that wait, one behind the other."""

    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@dataclass(slots=True, eq=False)
class Sessions:
    """The sessions of the farm, as this process asks for them."""

    settings: Settings
    known: Known
    gate: Gate
    _living: WeakSet[Session] = field(default_factory=WeakSet)
    _seen: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _lines: dict[str, Line] = field(default_factory=dict)
    _one_of_many: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begin(self, request: Request, token: str, response: Response) -> Caller:
        """Log in with a token; refuses as the gate does, and counts what is wrong as it does."""
        caller = await self.gate.identify(lambda: token, request.scope)
        bound = caller.job_queue_id is not None
        if not may(caller.role, Right.READ, bound=bound):
            roles = ", ".join(holders(Right.READ))
            raise NotForThePage(
                f"this token is of role {caller.role}, which works for machines:"
                f" the page takes one of role {roles}"
            )
        await self.end(request, response)
        cookie = secrets.token_urlsafe(SECRET_BYTES)
        seconds = self.settings.session_hours * HOUR
        engine: AsyncEngine = request.app.state.engine
        async with engine.begin() as connection:
            token_digest = secret.digest(token)
            await store.add(connection, _digest(cookie), caller.token_id, token_digest, seconds)
        self._remember(_digest(cookie))
        response.set_cookie(value=cookie, max_age=int(seconds), **_cookie(request))
        return caller

    async def end(self, request: Request, response: Response) -> None:
        """Log out, whoever it is, and end the streams of this session."""
        cookie = _sent(request)
        if cookie is None:
            return
        digest = _digest(cookie)
        engine: AsyncEngine = request.app.state.engine
        async with engine.begin() as connection:
            await store.remove(connection, digest)
        for session in self._living:
            session.ended = session.ended or session.digest == digest
        response.delete_cookie(**_cookie(request))

    async def watch_for_ever(self, engine: AsyncEngine) -> None:
        """End the streams of sessions that were ended at another replica."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.end_those_over(engine)
            except (SQLAlchemyError, *AWAY) as failed:
                log.warning("sessions_not_checked", error=first_line(failed))

    async def end_those_over(self, engine: AsyncEngine) -> None:
        """Ask once for all; nothing where nobody is there."""
        asked = list(self._living)
        if not asked:
            return
        async with engine.connect() as connection:
            standing = await store.standing(connection, [one.digest for one in asked])
        for session in asked:
            session.ended = session.ended or session.digest not in standing

    async def of(self, request: Request) -> Session | None:
        """Who asks; None for nobody who is logged in. Wrong cookies count as wrong tokens do."""
        cookie = _sent(request)
        if cookie is None:
            return None
        engine: AsyncEngine = request.app.state.engine
        digest = _digest(cookie)
        row = await self._row(engine, digest, request.scope)
        if row is None:
            return None
        caller = await self._caller(engine, row["token_id"], row["token_digest"])
        if caller is None:
            return None
        deadline = time.monotonic() + row["seconds_left"]
        session = Session(digest, _csrf(cookie), caller, deadline)
        self._living.add(session)
        return session

    async def _row(self, engine: AsyncEngine, digest: bytes, scope: Scope) -> RowMapping | None:
        """What is stored of it; what never was seen has to stand in line."""
        if digest in self._seen:
            self._seen.move_to_end(digest)
            return await _stored(engine, digest)
        async with self._in_line(scope):
            row = await _stored(engine, digest)
        if row is None:
            self._count_wrong(scope)
        else:
            self._remember(digest)
        return row

    def _count_wrong(self, scope: Scope) -> None:
        """As a wrong token; but whoever has a token can log in whatever their cookie is."""
        self.gate.count_wrong(scope, "cookies of no session", "log in, or try again")

    @asynccontextmanager
    async def _in_line(self, scope: Scope) -> AsyncIterator[None]:
        """One at a time: the pool is for others. Addresses take turns, however many each sends."""
        address = address_of(scope)
        line = self._lines.setdefault(address, Line())
        if line.waiting >= MOST_WAITING and self.gate.is_over(scope):
            self._count_wrong(scope)
        line.waiting += 1
        try:
            async with line.first, self._one_of_many:
                yield
        finally:
            line.waiting -= 1
            if not line.waiting:
                del self._lines[address]

    def _remember(self, digest: bytes) -> None:
        self._seen[digest] = None
        if len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    async def _caller(
        self, engine: AsyncEngine, token_id: int | None, digest: bytes
    ) -> Caller | None:
        """Whose token it is, if it is valid still."""
        if token_id is None:
            return self.known.admin_of(digest)
        parsed = Parsed(token_id, digest)
        return self.known.find(parsed.digest) or await self.known.look_up(engine, parsed)


async def _stored(engine: AsyncEngine, digest: bytes) -> RowMapping | None:
    async with engine.connect() as connection:
        return await store.get(connection, digest)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


def _csrf(cookie: str) -> str:
    """What a page of this session knows and no other site does; it tells nothing of the cookie."""
    return hashlib.sha256(b"csrf:" + cookie.encode()).hexdigest()


def _sent(request: Request) -> str | None:
    return request.cookies.get(_name(request)) or None


def _name(request: Request) -> str:
    """With a prefix that browsers hold to, where they can: none but this host sets it, by https."""
    if request.url.scheme != "https":
        return NAME
    return f"__Secure-{NAME}" if _prefix(request) else f"__Host-{NAME}"


def _prefix(request: Request) -> str:
    prefix: str = request.scope.get("root_path", "")
    return prefix.rstrip("/")


def _cookie(request: Request) -> dict[str, Any]:
    """Lax: who follows a link to a job, in a chat, is to arrive. Nothing is changed by a GET."""
    return {
        "key": _name(request),
        "path": _prefix(request) + "/",
        "httponly": True,
        "samesite": "lax",
        "secure": request.url.scheme == "https",
    }
