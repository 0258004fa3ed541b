"""The SQL of what plans are made of, read in a snapshot beside the service."""

from collections.abc import Sequence

import asyncpg

# Everything of the queues in or below a root that a plan can be made of, as one number.
DIGEST = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM jobqueues
    WHERE CASE WHEN CAST({root} AS bigint) IS NULL
        THEN parent_jobqueue_id IS NULL ELSE id = {root} END
    UNION ALL
    SELECT q.id FROM jobqueues q JOIN below b ON q.parent_jobqueue_id = b.id
)
SELECT encode(sha256(convert_to(coalesce(string_agg(
    CAST(json_build_array(q.id, q.parent_jobqueue_id, q.fullpath, q.priority, q.weight,
        q.minimum_agents, q.maximum_agents, q.prefer_running_jobs, q.paused) AS text),
    ',' ORDER BY q.id), ''), 'UTF8')), 'hex')
FROM jobqueues q JOIN below b ON b.id = q.id
"""
_PLANNED_DIGEST = DIGEST.format(root="$1::bigint")

_JOBS_IN = """
SELECT job_queue_id, count(*)::int AS jobs FROM jobs
WHERE job_queue_id = ANY($1::bigint[]) GROUP BY job_queue_id
"""


async def planned_digest(connection: asyncpg.Connection, root: int | None) -> str:
    """What the queues in or below the root are, for `present_digest` to compare."""
    found: str = await connection.fetchval(_PLANNED_DIGEST, root)
    return found


async def jobs_in(connection: asyncpg.Connection, queue_ids: Sequence[int]) -> dict[int, int]:
    """How many jobs are directly in each of these queues that has any, finished ones too."""
    rows = await connection.fetch(_JOBS_IN, list(queue_ids))
    return {row["job_queue_id"]: row["jobs"] for row in rows}
