"""A past for a farm: figures of minutes that are over, as a service would have written them."""

import asyncpg

_ROWS = """
INSERT INTO farm_figures (seconds, at, agents, queues, tasks_done, tasks_failed, jobs_started,
    wait_seconds, longest_wait, history_id)
SELECT $1::int, date_trunc('minute', clock_timestamp()) - make_interval(secs => $1::int * n),
    '{"online": 20, "working": 18, "offline": 2}', (
        SELECT jsonb_object_agg(q.id::text, jsonb_build_array(
            round(5 + 3 * sin(n / 9.0 + q.id)), CASE q.id WHEN 0 THEN 21 ELSE 6 END, 40
        ))
        FROM (SELECT id FROM jobqueues UNION ALL SELECT 0) q
    ), 6 + round($3::int * (1 + sin(n / 6.0))), 1, 2, 30 + n % 7, 25 + n % 11, 0
FROM generate_series(1, $2::int) n
ON CONFLICT (seconds, at) DO UPDATE SET agents = EXCLUDED.agents, queues = EXCLUDED.queues,
    tasks_done = EXCLUDED.tasks_done, tasks_failed = EXCLUDED.tasks_failed
"""


async def remember(database: str, seconds: int = 60, rows: int = 50, waves: int = 0) -> None:
    """Let there have been so many minutes (or hours) of work; `waves`: now more, now less."""
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute(_ROWS, seconds, rows, waves)
    await connection.close()
