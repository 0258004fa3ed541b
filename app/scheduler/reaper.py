"""Leases that ran out: the agent is offline, its tasks wait again."""

import asyncio

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app import metrics
from app.db.driver import AWAY
from app.db.engine import lock_farm
from app.errors import AppError
from app.policy.states import EndedBecause
from app.scheduler import feed, lease_store
from app.scheduler.contact import Contact
from app.scheduler.ending import take_back
from app.settings import Settings

log = structlog.get_logger()


async def reap_for_ever(engine: AsyncEngine, settings: Settings) -> None:
    contact = Contact(settings.lease_seconds, settings.reap_seconds)
    while True:
        await asyncio.sleep(settings.reap_seconds)
        try:
            await _round(engine, settings, contact)
            metrics.REAPED.set_to_current_time()
        except (SQLAlchemyError, AppError, *AWAY) as failed:
            contact.lost()
            log.warning("reaper_failed", error=str(failed).split("\n")[0])


async def _round(engine: AsyncEngine, settings: Settings, contact: Contact) -> None:
    """Whoever was silent while nobody could be heard is given time to call first."""
    async with engine.begin() as connection:
        await feed.forget_old(connection)
    contact.reached()
    if contact.trusted:
        async with engine.begin() as connection:
            await reap(connection, settings)


async def reap(connection: AsyncConnection, settings: Settings) -> int:
    """Take back the work of every agent whose lease ran out; returns how many there were."""
    if not await lease_store.any_expired(connection):
        return 0
    await lock_farm(connection)
    silent = await lease_store.expire(connection)
    await take_back(
        connection,
        EndedBecause.LEASE_LOST,
        "reaper",
        agent_ids=[row["id"] for row in silent],
        most_lost=settings.max_lost_leases or None,
    )
    for row in silent:
        held = {name: row[name] for name in ("assignment_id", "job_id") if row[name] is not None}
        log.warning("lease_lost", agent_id=str(row["id"]), **held)
    metrics.LEASES_LOST.inc(len(silent))
    metrics.REAPER_LAG.set(max((row["late"] for row in silent), default=0))
    return len(silent)
