"""The audit of a live farm, top to bottom."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from app.audit import store
from app.audit.findings import ADVICE, Findings
from app.audit.replay import IN_JOB, IN_QUEUE, Replay
from app.audit.tree import Circle
from app.db import schema
from app.db.driver import AWAY, connect
from app.db.embedded import database_url
from app.errors import Unavailable
from app.settings import Settings

CONNECT_SECONDS = 10

# Before all that ever happened.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found, what was looked at, and what could not be judged."""

    findings: Findings
    since: datetime | None
    replayed: int
    unjudged: Mapping[str, int]

    def told(self) -> dict[str, Any]:
        """For programs."""
        return {
            "findings": [
                {"check": one.check, "subject": one.subject, "detail": one.detail}
                for one in self.findings.kept
            ],
            "counts": dict(self.findings.counted),
            "advice": {check: ADVICE[check] for check in self.findings.counted},
            "history": {
                "since": None if self.since is None else self.since.isoformat(),
                "assignments": self.replayed,
                "not_judged": dict(self.unjudged),
            },
        }


def audit_of(settings: Settings, *, history: bool) -> dict[str, Any] | str:
    """The audit, for programs, of the database that the settings name; or why there is none."""
    with database_url(settings) as url:
        try:
            return asyncio.run(audit(url, history=history)).told()
        except (*AWAY, Unavailable) as failed:
            return (
                f"no audit: {str(failed).splitlines()[0] if str(failed) else type(failed).__name__}"
            )


async def audit(url: str, *, history: bool = True) -> Audit:
    """Recount the whole database at `url`, and replay its history; as one snapshot shows it."""
    connection = await connect(
        url,
        timeout=CONNECT_SECONDS,
        server_settings={"application_name": "farmqueue audit", "timezone": "UTC", "jit": "off"},
    )
    try:
        async with snapshot(connection):
            await _check_schema(connection)
            findings = await recount(connection, finished=True)
            if not history:
                return Audit(findings, None, 0, {})
            since = await store.since(connection)
            played = await replay(connection, since, findings)
            unjudged = {what: number for what, number in played.unjudged.items() if number}
            return Audit(findings, since, played.made, unjudged)
    finally:
        connection.terminate()


@asynccontextmanager
async def snapshot(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """A transaction that writes nothing and sees one instant."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        yield


async def recount(connection: asyncpg.Connection, *, finished: bool) -> Findings:
    """What is stored against what it is derived from; with `finished` that of finished jobs too."""
    findings = Findings()
    async for rows in store.recount(connection, finished=finished):
        findings.add_rows(rows)
    return findings


async def replay(
    connection: asyncpg.Connection, since: datetime | None, findings: Findings
) -> Replay:
    """The history from `since` on, played back to the present."""
    after = since or BEGINNING
    first = 0 if since is None else await store.first_made(connection, after)
    played = Replay(findings, first_made=first)
    for row in await store.queues_before(connection, after):
        fields = _before(row)
        with suppress(Circle):  # which the recount finds
            played.tree.set(played.tree.queue(row["id"]), fields, IN_QUEUE)
    held = await store.held_before(connection, after, played.first_made)
    await _learn(connection, after, played, sorted({row["job_id"] for row in held}))
    for row in held:
        played.begin_with(row["id"], str(row["agent_id"]), row["job_id"])
    async for rows in store.events(connection, after):
        events = [dict(row) | {"detail": json.loads(row["detail"])} for row in rows]
        await _learn(connection, after, played, played.unknown_jobs(events))
        played.play(events)
    played.end(await store.active(connection))
    return played


async def _learn(
    connection: asyncpg.Connection, after: datetime, played: Replay, job_ids: Sequence[int]
) -> None:
    """What these jobs were before the first that is told of them."""
    if not job_ids:
        return
    for row in await store.jobs_before(connection, after, list(job_ids)):
        played.tree.set(played.tree.job(row["id"]), _before(row), IN_JOB)


def _before(row: Mapping[str, Any]) -> dict[str, Any]:
    """A node's settings at the beginning: its present ones, but for what was changed since."""
    found: dict[str, Any] = json.loads(row["has"]) | json.loads(row["had"])
    return found


async def _check_schema(connection: asyncpg.Connection) -> None:
    schema.check(await store.told_of_schema(connection))
