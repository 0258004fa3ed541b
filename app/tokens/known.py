"""The tokens that this process knows, so that calls of every agent need ask the database nothing.

What is known is exact, not fresh to some seconds: changes of tokens are in the feed, which every
cycle takes in under the farm lock before it decides. Callers are changed in place, so that one in
the middle of a call hears of it.
"""

from collections import OrderedDict
from collections.abc import Collection
from weakref import WeakValueDictionary

import asyncpg
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.access import Role
from app.caller import Caller, token_ended
from app.clock import steady
from app.tokens import secret, store
from app.tokens.secret import Parsed

MOST = 50_000


class Known:
    """Callers by the digest of their token; the latest used, at most `MOST`."""

    def __init__(self, admin_token: str | None) -> None:
        self._admin = None if admin_token is None else secret.digest(admin_token)
        self._of_environment = Caller(Role.ADMIN, "admin")
        self._kept: OrderedDict[bytes, Caller] = OrderedDict()
        # Those in the middle of a call too, though they may not be kept any more.
        self._living: WeakValueDictionary[int, Caller] = WeakValueDictionary()
        self._used: set[int] = set()
        self._changes = 0
        self.news = False  # callers ended since it was last looked at

    def admin_of(self, digest: bytes) -> Caller | None:
        """The caller, if this is the digest of the admin token of the environment."""
        if self._admin is not None and secret.same(digest, self._admin):
            return self._of_environment
        return None

    def find(self, digest: bytes) -> Caller | None:
        """Who has the token with this digest, as far as it is known."""
        found = self._kept.get(digest)
        if found is None or found.token_id is None or not found.stands():
            return None
        self._kept.move_to_end(digest)
        self._used.add(found.token_id)
        return found

    async def look_up(self, engine: AsyncEngine, parsed: Parsed) -> Caller | None:
        """Who has this token, by the database; None where it is not valid."""
        while True:
            before = self._changes
            async with engine.connect() as connection:
                row = await store.valid(connection, parsed.token_id)
            # One that was revoked meanwhile may have been missed: who reads the feed knew it not.
            if before == self._changes:
                break
        if row is None or not secret.same(row["digest"], parsed.digest):
            return None
        return self._remember(parsed, row)

    async def confirm(self, connection: AsyncConnection, caller: Caller) -> None:
        """Make sure that the caller's token is valid now."""
        if caller.token_id is None:
            return
        row = None if caller.ended else await store.valid(connection, caller.token_id)
        if row is None or row["digest"] != caller.digest:
            raise token_ended()

    def _remember(self, parsed: Parsed, row: RowMapping) -> Caller:
        caller = self._living.get(parsed.token_id)
        if caller is not None and caller.digest != parsed.digest:
            self._end(caller)  # in a database that was restored, the id is another token's
            caller = None
        if caller is None:
            caller = Caller(
                role=Role(row["role"]),
                name=row["name"],
                token_id=row["id"],
                agent_id=row["agent_id"],
                job_queue_id=row["job_queue_id"],
                digest=parsed.digest,
            )
            self._living[parsed.token_id] = caller
        caller.deadline = _deadline(row["seconds_left"])
        self._kept[parsed.digest] = caller
        self._used.add(parsed.token_id)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return caller

    async def hear(
        self, connection: asyncpg.Connection, token_ids: Collection[int] | None = None
    ) -> None:
        """Take in that these tokens (None: any) may have changed."""
        self._changes += 1
        living = dict(self._living)
        about = list(living if token_ids is None else living.keys() & token_ids)
        if not about:
            return
        valid = await store.valid_of(connection, about)
        for token_id in about:
            row, caller = valid.get(token_id), living[token_id]
            if row is not None and row["digest"] == caller.digest:
                caller.deadline = _deadline(row["seconds_left"])
            else:
                self._end(caller)

    def _end(self, caller: Caller) -> None:
        caller.ended = self.news = True
        self._living.pop(caller.token_id or 0, None)
        self._kept.pop(caller.digest or b"", None)

    def take_used(self) -> set[int]:
        """Tokens that were used since the last call of this."""
        used, self._used = self._used, set()
        return used


def _deadline(seconds_left: float | None) -> float | None:
    return None if seconds_left is None else steady() + seconds_left
