"""The SQL of the queue tree."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    RowMapping,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.counts import ASSIGNED, HELD, RUNNING, UNFINISHED, WAITING
from app.db.tables import jobqueues as queues
from app.db.tables import jobs

BRIEFS = 100

_IDS = bindparam("ids", type_=ARRAY(BigInteger))

# Columns of a queue as JSON, its agents counted in or below it.
_QUEUES = f"""
WITH RECURSIVE {HELD}, {ASSIGNED}
SELECT q.*, coalesce(a.agents, 0) AS assigned_agents
FROM jobqueues q LEFT JOIN assigned a ON a.job_queue_id = q.id
"""

# The queues in or below :root (all for null), with the jobs directly in each.
_TREE = f"""
WITH RECURSIVE {HELD}, {ASSIGNED},
below (id) AS (
    SELECT id FROM jobqueues
    WHERE CASE WHEN CAST(:root AS bigint) IS NULL
        THEN parent_jobqueue_id IS NULL ELSE id = :root END
    UNION ALL
    SELECT q.id FROM jobqueues q JOIN below b ON q.parent_jobqueue_id = b.id
),
work (job_queue_id, waiting, running) AS (
    SELECT j.job_queue_id, sum({WAITING}), sum({RUNNING})
    FROM jobs_now j WHERE {UNFINISHED} AND j.job_queue_id IN (SELECT id FROM below) GROUP BY 1
),
held_jobs (job_queue_id, jobs) AS (
    SELECT job_queue_id, count(*) FROM jobs WHERE job_queue_id IN (SELECT id FROM below) GROUP BY 1
)
SELECT q.*, coalesce(a.agents, 0) AS assigned_agents, coalesce(h.jobs, 0)::int AS jobs,
    coalesce(w.waiting, 0)::int AS waiting, coalesce(w.running, 0)::int AS running
FROM jobqueues q
JOIN below b ON b.id = q.id
LEFT JOIN assigned a ON a.job_queue_id = q.id
LEFT JOIN work w ON w.job_queue_id = q.id
LEFT JOIN held_jobs h ON h.job_queue_id = q.id
ORDER BY q.id
"""

# What hangs on the root itself: its jobs, and every agent that works.
_ROOT = f"""
SELECT coalesce(sum({WAITING}), 0)::int AS waiting, coalesce(sum({RUNNING}), 0)::int AS running,
    (SELECT count(*)::int FROM jobs WHERE job_queue_id IS NULL) AS jobs,
    (SELECT count(*)::int FROM assignments WHERE ended_at IS NULL) AS assigned_agents
FROM jobs_now j WHERE {UNFINISHED} AND j.job_queue_id IS NULL
"""

# The queue and its ancestors, nearest first.
_ANCESTORS = text("""
WITH RECURSIVE up (id, parent_jobqueue_id, distance) AS (
    SELECT id, parent_jobqueue_id, 0 FROM jobqueues WHERE id = :id
    UNION ALL
    SELECT q.id, q.parent_jobqueue_id, u.distance + 1
    FROM jobqueues q JOIN up u ON q.id = u.parent_jobqueue_id
)
SELECT id FROM up ORDER BY distance
""")

# Those of :ids that are the queue :top or hang below it.
_BELOW = text("""
WITH RECURSIVE up (id, at) AS (
    SELECT id, id FROM jobqueues WHERE id = ANY(CAST(:ids AS bigint[]))
    UNION ALL
    SELECT up.id, q.parent_jobqueue_id FROM up JOIN jobqueues q ON q.id = up.at
    WHERE up.at <> :top AND q.parent_jobqueue_id IS NOT NULL
)
SELECT id FROM up WHERE at = :top
""")

# Each of :paths that leads to a queue, and that queue's id: name by name from the top level, which
# the index of names among siblings answers. An index of fullpath would be written for every queue
# below one that moves.
_NAMED = text("""
WITH RECURSIVE asked (path, names) AS (
    SELECT path, string_to_array(path, '/') FROM unnest(CAST(:paths AS text[])) AS path
),
walk (path, names, at, id) AS (
    SELECT a.path, a.names, 2, q.id
    FROM asked a JOIN jobqueues q ON q.parent_jobqueue_id IS NULL AND q.name = a.names[2]
    UNION ALL
    SELECT w.path, w.names, w.at + 1, q.id
    FROM walk w JOIN jobqueues q ON q.parent_jobqueue_id = w.id AND q.name = w.names[w.at + 1]
)
SELECT path, id FROM walk WHERE at = cardinality(names)
""")

# How many levels the queue and what hangs below it take: 1 for a queue without children.
_HEIGHT = text("""
WITH RECURSIVE below (id, level) AS (
    SELECT id, 1 FROM jobqueues WHERE id = :id
    UNION ALL
    SELECT q.id, b.level + 1 FROM jobqueues q JOIN below b ON q.parent_jobqueue_id = b.id
)
SELECT max(level) FROM below
""")

# Every fullpath in or below the queue, made anew from its parent's.
_REPATH = text("""
WITH RECURSIVE below (id, fullpath) AS (
    SELECT q.id, coalesce(p.fullpath, '') || '/' || q.name
    FROM jobqueues q LEFT JOIN jobqueues p ON p.id = q.parent_jobqueue_id WHERE q.id = :id
    UNION ALL
    SELECT q.id, b.fullpath || '/' || q.name
    FROM jobqueues q JOIN below b ON q.parent_jobqueue_id = b.id
)
UPDATE jobqueues SET fullpath = below.fullpath FROM below WHERE jobqueues.id = below.id
""")


async def add(connection: AsyncConnection, values: dict[str, Any]) -> int:
    made = await connection.execute(insert(queues).values(values).returning(queues.c.id))
    queue_id: int = made.scalar_one()
    return queue_id


async def get(connection: AsyncConnection, queue_id: int) -> RowMapping | None:
    found = await connection.execute(text(_QUEUES + "WHERE q.id = :id"), {"id": queue_id})
    return found.mappings().one_or_none()


async def get_for_update(connection: AsyncConnection, queue_id: int) -> RowMapping | None:
    found = await connection.execute(
        select(queues).where(queues.c.id == queue_id).with_for_update()
    )
    return found.mappings().one_or_none()


async def ids_of(connection: AsyncConnection, fullpaths: Sequence[str]) -> dict[str, int]:
    """The ids of the queues that are there, by fullpath; "/films", without a slash at its end."""
    found = await connection.execute(_NAMED, {"paths": list(fullpaths)})
    return {row.path: row.id for row in found}


async def id_of(connection: AsyncConnection, fullpath: str) -> int | None:
    return (await ids_of(connection, [fullpath])).get(fullpath)


async def existing(connection: AsyncConnection, queue_ids: Sequence[int]) -> set[int]:
    """Those of the ids that queues have."""
    query = select(queues.c.id).where(queues.c.id == func.any(_IDS))
    return set((await connection.scalars(query, {"ids": list(queue_ids)})).all())


async def page(
    connection: AsyncConnection, matching: dict[str, Any], after: int, limit: int
) -> Sequence[RowMapping]:
    """Queues past the id `after` whose columns equal `matching`, by id."""
    where = [f"q.{column} IS NOT DISTINCT FROM :{column}" for column in matching]
    query = _QUEUES + f"WHERE {' AND '.join(['q.id > :after', *where])} ORDER BY q.id LIMIT :limit"
    values = matching | {"after": after, "limit": limit}
    return (await connection.execute(text(query), values)).mappings().all()


async def children(connection: AsyncConnection, queue_id: int) -> tuple[Sequence[RowMapping], int]:
    """The first children by id, and how many there are."""
    brief = select(queues.c.id, queues.c.name, queues.c.fullpath)
    return await _first(connection, brief.where(queues.c.parent_jobqueue_id == queue_id))


async def jobs_in(connection: AsyncConnection, queue_id: int) -> tuple[Sequence[RowMapping], int]:
    """The first jobs by id, and how many there are."""
    brief = select(jobs.c.id, jobs.c.title)
    return await _first(connection, brief.where(jobs.c.job_queue_id == queue_id))


async def _first(
    connection: AsyncConnection, query: Select[Any]
) -> tuple[Sequence[RowMapping], int]:
    shown = await connection.execute(query.order_by("id").limit(BRIEFS))
    total = await connection.scalar(select(func.count()).select_from(query.subquery()))
    return shown.mappings().all(), total or 0


async def tree(connection: AsyncConnection, root: int | None) -> Sequence[RowMapping]:
    return (await connection.execute(text(_TREE), {"root": root})).mappings().all()


async def root_totals(connection: AsyncConnection) -> RowMapping:
    return (await connection.execute(text(_ROOT))).mappings().one()


async def ancestors(connection: AsyncConnection, queue_id: int) -> list[int]:
    """The queue's id and those above it, nearest first; its length is the queue's depth."""
    return list((await connection.scalars(_ANCESTORS, {"id": queue_id})).all())


async def those_below(connection: AsyncConnection, top: int, ids: Sequence[int]) -> Sequence[int]:
    """Those of the queues that are `top` or hang below it."""
    return (await connection.scalars(_BELOW, {"top": top, "ids": list(ids)})).all()


async def height(connection: AsyncConnection, queue_id: int) -> int:
    found: int = await connection.scalar(_HEIGHT, {"id": queue_id})
    return found


async def change(connection: AsyncConnection, queue_id: int, values: dict[str, Any]) -> None:
    await connection.execute(update(queues).where(queues.c.id == queue_id).values(values))


async def repath(connection: AsyncConnection, queue_id: int) -> None:
    await connection.execute(_REPATH, {"id": queue_id})


async def remove(connection: AsyncConnection, queue_id: int) -> None:
    await connection.execute(delete(queues).where(queues.c.id == queue_id))
