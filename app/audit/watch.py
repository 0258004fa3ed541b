"""The recount beside the work: what it finds is a metric, and a log line the first time."""

import asyncio
from time import perf_counter

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import metrics
from app.audit.findings import ADVICE, RECOUNT, Finding, Findings
from app.audit.service import recount, snapshot
from app.db.driver import AWAY
from app.db.engine import driver_of
from app.settings import Settings

log = structlog.get_logger()

# A recount that takes longer than this is for `farmqueue audit`, at a quiet time.
LONGEST_SECONDS = 60


async def watch_for_ever(engine: AsyncEngine, settings: Settings) -> None:
    """Recount every `audit_seconds`, which is above 0."""
    known: set[Finding] = set()
    while True:
        await asyncio.sleep(settings.audit_seconds)
        known = await look(engine, known)


async def look(engine: AsyncEngine, known: set[Finding]) -> set[Finding]:
    """Recount once and tell what is found; in the log but what was `known`, which it returns."""
    began = perf_counter()
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            findings = await _recount(engine)
    except (SQLAlchemyError, *AWAY) as failed:
        log.warning("audit_failed", error=str(failed).split("\n")[0] or type(failed).__name__)
        return known
    metrics.AUDIT_SECONDS.set(perf_counter() - began)
    metrics.AUDITED.set_to_current_time()
    for check in RECOUNT:
        metrics.AUDIT_FINDINGS.labels(check).set(findings.counted[check])
    for one in findings.kept:
        if one not in known:
            log.error("audit_finding", **_fields(one))
    return set(findings.kept)


async def _recount(engine: AsyncEngine) -> Findings:
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        try:
            async with snapshot(driver):
                return await recount(driver, finished=False)
        except BaseException:
            await connection.invalidate()
            raise


def _fields(finding: Finding) -> dict[str, str]:
    """Of its log line; where it is of a job, an agent or an assignment, that has its field."""
    kind, _, name = finding.subject.partition(" ")
    told = {"check": finding.check, "detail": finding.detail, "advice": ADVICE[finding.check]}
    return told | {f"{kind}_id": name}
