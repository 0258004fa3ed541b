"""The epoch of the database: what another one had after the backup of this one is never met again.

A database that comes from a backup has forgotten what happened since. Agents still hold assignments
of that time, and without care their ids would be given out a second time, for other work. So each
epoch has ids of its own: that of an assignment has the epoch in its upper bits. An epoch ends
where the database is not the one that it was (a dump was restored, into another server or the same)
or is found on another time line (a standby was promoted, a point in time was restored). Jobs,
queues and tokens leave a gap in their ids.
"""

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.engine import lock_farm
from app.errors import Unavailable
from app.policy.states import EndedBecause
from app.scheduler.ending import take_back

log = structlog.get_logger()

# Ids stay below 2⁵³, which every JSON reader can hold: 2¹³ epochs of 2⁴⁰ assignments.
EPOCH_BITS = 40

# Nobody submits as many jobs between two backups, and 2³³ jobs have task ids below 2⁵³.
GAP = 1_000_000

# A dump that is restored makes this table anew, with another oid.
_FOUND = text("""
SELECT epoch, server, timeline,
    (SELECT system_identifier # ((CAST(d.oid AS bigint) << 32) | CAST(f.tableoid AS bigint))
        FROM pg_control_system(), pg_database d WHERE d.datname = current_database()
    ) AS server_now,
    CASE WHEN NOT pg_is_in_recovery()
        THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END AS timeline_now
FROM farm_epoch f
""")

_BEGIN = text("""
UPDATE farm_epoch SET epoch = :epoch, server = :server, timeline = :timeline,
    begun_at = clock_timestamp()
""")

# As the owner of the tables: who may set a sequence may set it back.
_MOVE_IDS = text("SELECT move_ids(CAST(:assignments AS bigint), CAST(:gap AS bigint))")

_ACTIVE = text("SELECT id FROM assignments WHERE ended_at IS NULL")


async def settle(engine: AsyncEngine) -> None:
    """Begin a new epoch where the database is not where it was; else change nothing.

    A restored dump may be old: all work is taken back. On another time line work goes on.
    Raises `Unavailable` on a standby, which takes no writes.
    """
    async with engine.begin() as connection:
        if await _settled(connection):
            return
        await lock_farm(connection)
        if not await _settled(connection):  # nobody did meanwhile
            await _begin(connection)


async def _settled(connection: AsyncConnection) -> bool:
    found = (await connection.execute(_FOUND)).one()
    if found.timeline_now is None:
        raise Unavailable("the database is a standby: point FARMQUEUE_DATABASE_URL at the primary")
    return (found.server, found.timeline) == (found.server_now, found.timeline_now)


async def _begin(connection: AsyncConnection) -> None:
    found = (await connection.execute(_FOUND)).one()
    is_new = found.server is None
    epoch = found.epoch + (not is_new)
    here = {"epoch": epoch, "server": found.server_now, "timeline": found.timeline_now}
    await connection.execute(_BEGIN, here)
    if is_new:
        return
    await connection.execute(_MOVE_IDS, {"assignments": epoch << EPOCH_BITS, "gap": GAP})
    taken_back = 0
    if found.server != found.server_now:
        active = list((await connection.scalars(_ACTIVE)).all())
        taken_back = await take_back(
            connection, EndedBecause.RESTORED, "restore", assignment_ids=active
        )
    log.warning("new_epoch", **here, taken_back=taken_back)
