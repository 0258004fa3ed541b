"""Ending assignments before they are done: their unfinished tasks wait again, exactly once."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.counts import FINISHED, HELD_BY
from app.policy.states import EndedBecause

# `ended_because IS NULL` is the fence: whoever comes second ends nothing and frees nothing. (Not
# `ended_at`, whose index has all that were held since the oldest snapshot.) A task with which
# :most_lost agents went silent is set aside as failed (null: never): it may be the cause.
TAKE_BACK = text(f"""
WITH meant AS (
    SELECT s.id FROM unnest(CAST(:agent_ids AS uuid[])) AS g(id)
    {HELD_BY.format(agent="g")}
    UNION
    SELECT id FROM assignments
    WHERE job_id = ANY(CAST(:job_ids AS bigint[])) AND ended_at IS NULL
    UNION
    SELECT unnest(CAST(:assignment_ids AS bigint[]))
),
ended AS (
    UPDATE assignments a SET ended_at = clock_timestamp(), ended_because = :because
    FROM meant WHERE a.id = meant.id AND a.ended_because IS NULL
    RETURNING a.id, agent_id, job_id, ordinals, (CAST(:because AS text) = 'lease_lost')::int AS lost
),
freed AS (
    UPDATE tasks t SET progress = 0,
        lost_leases = t.lost_leases + e.lost,
        state = CASE WHEN e.lost > 0 AND t.lost_leases + e.lost >= CAST(:most_lost AS int)
            THEN 'failed' ELSE 'waiting' END,
        last_error = CASE WHEN e.lost > 0 AND t.lost_leases + e.lost >= CAST(:most_lost AS int)
            THEN format('set aside: %s agents went silent with it; when it is mended, rerun what '
                'failed', t.lost_leases + e.lost)
            ELSE t.last_error END,
        time_finished = CASE WHEN e.lost > 0 AND t.lost_leases + e.lost >= CAST(:most_lost AS int)
            THEN clock_timestamp() END
    FROM ended e
    WHERE t.job_id = e.job_id AND t.ordinal = ANY(e.ordinals)
        AND t.assignment_id = e.id AND t.state = 'running'
    RETURNING t.job_id, t.ordinal, t.assignment_id, t.state
),
counted AS (
    UPDATE job_progress p SET waiting = p.waiting + f.ordinals,
        tasks_failed = p.tasks_failed + f.failed
    FROM (
        SELECT job_id, count(*) FILTER (WHERE state = 'failed') AS failed, coalesce(
            range_agg(int4range(ordinal, ordinal + 1)) FILTER (WHERE state = 'waiting'), '{{}}'
        ) AS ordinals
        FROM freed GROUP BY job_id
    ) f
    WHERE p.job_id = f.job_id
    RETURNING p.job_id, p.tasks_done + p.tasks_failed = p.tasks_total AS finished
),
{FINISHED},
told AS (
    INSERT INTO history (actor, action, agent_id, job_id, assignment_id, detail)
    SELECT :caller, 'assignment.ended', e.agent_id, e.job_id, e.id, jsonb_build_object(
        'because', CAST(:because AS text),
        'tasks', (SELECT coalesce(jsonb_agg(f.ordinal ORDER BY f.ordinal), '[]')
                  FROM freed f WHERE f.assignment_id = e.id),
        'set_aside', (SELECT coalesce(jsonb_agg(f.ordinal ORDER BY f.ordinal), '[]')
                      FROM freed f WHERE f.assignment_id = e.id AND f.state = 'failed')
    )
    FROM ended e ORDER BY e.id
)
SELECT count(*) FROM ended
""")  # noqa: S608  # of constants


# How an assignment stands: whether it `ended`, and why.
_STANDS = text("""
SELECT id, agent_id, ended_at IS NOT NULL AS ended, ended_because FROM assignments WHERE id = :id
""")


async def stands(connection: AsyncConnection, assignment_id: int) -> RowMapping | None:
    found = await connection.execute(_STANDS, {"id": assignment_id})
    return found.mappings().one_or_none()


async def take_back(
    connection: AsyncConnection,
    because: EndedBecause,
    caller: str,
    *,
    agent_ids: Sequence[UUID] = (),
    job_ids: Sequence[int] = (),
    assignment_ids: Sequence[int] = (),
    most_lost: int | None = None,
) -> int:
    """End the active assignments of these agents and jobs; their unfinished tasks wait again.

    The caller holds the farm lock. Of leases that were lost, a task that was lost `most_lost` times
    is set aside as failed instead (None: never). Returns how many assignments ended.
    """
    ended: int | None = await connection.scalar(
        TAKE_BACK,
        {
            "because": because,
            "caller": caller,
            "agent_ids": list(agent_ids),
            "job_ids": list(job_ids),
            "assignment_ids": list(assignment_ids),
            "most_lost": most_lost,
        },
    )
    return ended or 0
