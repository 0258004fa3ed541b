"""The SQL that carries a plan out.

A plan has thousands of queues at most: each statement does its part for all of them at once, from
JSON as text, so that neither the farm lock nor the process waits for one queue after the other.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.plan.farm_store import DIGEST

_PRESENT_DIGEST = text(DIGEST.format(root=":root"))

_NEW_IDS = text("""
SELECT nextval(pg_get_serial_sequence('jobqueues', 'id')) FROM generate_series(1, :count)
""")

# Names are unique at every moment: whatever leaves its place has another name until all is done.
_PARK = text("""
UPDATE jobqueues SET name = :prefix || id WHERE id = ANY(CAST(:ids AS bigint[]))
""")

# An id below zero is that of a new queue: the place of its real one in :new, from 1.
_REAL = "CASE WHEN {id} < 0 THEN (CAST(:new AS bigint[]))[-{id}] ELSE {id} END"
_ROWS = """json_to_recordset(CAST(:queues AS json)) AS q (
    id bigint, parent bigint, name text, fullpath text, priority smallint, weight int,
    minimum_agents int, maximum_agents int, prefer_running_jobs boolean, paused boolean
)"""

_MAKE = text(f"""
INSERT INTO jobqueues (id, parent_jobqueue_id, name, fullpath, priority, weight, minimum_agents,
    maximum_agents, prefer_running_jobs, paused)
OVERRIDING SYSTEM VALUE
SELECT {_REAL.format(id="q.id")}, {_REAL.format(id="q.parent")}, q.name, q.fullpath, q.priority,
    q.weight, q.minimum_agents, q.maximum_agents, q.prefer_running_jobs, q.paused
FROM {_ROWS}
""")

_CHANGE = text(f"""
UPDATE jobqueues SET
    parent_jobqueue_id = {_REAL.format(id="q.parent")}, name = q.name, priority = q.priority,
    weight = q.weight, minimum_agents = q.minimum_agents, maximum_agents = q.maximum_agents,
    prefer_running_jobs = q.prefer_running_jobs, paused = q.paused
FROM {_ROWS} WHERE jobqueues.id = q.id
""")

_REMOVE = text("DELETE FROM jobqueues WHERE id = ANY(CAST(:ids AS bigint[]))")

# Every fullpath below the root that is not what the names above it say.
_REPATH = text("""
WITH RECURSIVE below (id, fullpath) AS (
    SELECT q.id, coalesce(p.fullpath, '') || '/' || q.name
    FROM jobqueues q LEFT JOIN jobqueues p ON p.id = q.parent_jobqueue_id
    WHERE q.parent_jobqueue_id IS NOT DISTINCT FROM CAST(:root AS bigint)
    UNION ALL
    SELECT q.id, b.fullpath || '/' || q.name
    FROM jobqueues q JOIN below b ON q.parent_jobqueue_id = b.id
)
UPDATE jobqueues SET fullpath = below.fullpath FROM below
WHERE jobqueues.id = below.id AND jobqueues.fullpath <> below.fullpath
""")

# As single edits are recorded. :parents says under which key of the detail the parent is.
_RECORD = text(f"""
INSERT INTO history (actor, action, job_queue_id, detail)
SELECT :actor, h.action, {_REAL.format(id="h.id")},
    CASE WHEN h.parent < 0
        THEN jsonb_set(h.detail, h.place, to_jsonb((CAST(:new AS bigint[]))[-h.parent]))
        ELSE h.detail END
FROM ROWS FROM (json_to_recordset(CAST(:events AS json)) AS (
    action text, id bigint, parent bigint, place text[], detail jsonb
)) WITH ORDINALITY AS h (action, id, parent, place, detail, number)
ORDER BY h.number
""")


async def present_digest(connection: AsyncConnection, root: int | None) -> str:
    found: str = await connection.scalar(_PRESENT_DIGEST, {"root": root})
    return found


async def new_ids(connection: AsyncConnection, count: int) -> list[int]:
    return list((await connection.scalars(_NEW_IDS, {"count": count})).all()) if count else []


async def park(connection: AsyncConnection, queue_ids: Sequence[int], prefix: str) -> None:
    """Let these queues have a name that nobody else has."""
    await connection.execute(_PARK, {"ids": list(queue_ids), "prefix": prefix})


async def make(connection: AsyncConnection, queues: str, new: Sequence[int]) -> None:
    """`queues` are rows as JSON; `new` the ids of those whose id is below zero, -1 first."""
    await connection.execute(_MAKE, {"queues": queues, "new": list(new)})


async def change(connection: AsyncConnection, queues: str, new: Sequence[int]) -> None:
    await connection.execute(_CHANGE, {"queues": queues, "new": list(new)})


async def remove(connection: AsyncConnection, queue_ids: Sequence[int]) -> None:
    await connection.execute(_REMOVE, {"ids": list(queue_ids)})


async def repath(connection: AsyncConnection, root: int | None) -> None:
    await connection.execute(_REPATH, {"root": root})


async def record(connection: AsyncConnection, actor: str, events: str, new: Sequence[int]) -> None:
    """Tell the history, in the order given."""
    values: dict[str, Any] = {"actor": actor, "events": events, "new": list(new)}
    await connection.execute(_RECORD, values)
