"""Farms of a given shape, written straight into the database."""

from dataclasses import dataclass

from app.db.driver import connect

_QUEUES = """
INSERT INTO jobqueues (name, fullpath, parent_jobqueue_id, weight)
SELECT 'q' || n, '/q' || n, NULL, 1 + n % 10 FROM generate_series(1, $1::int) n
"""

_JOBS = """
WITH made AS (
    INSERT INTO jobs (title, job_queue_id, start, "end", "by", frames, tasks_total, requeue)
    SELECT 'job ' || n, (SELECT min(id) FROM jobqueues) + n % $2::int, 1, tasks, 1, '1-' || tasks,
        tasks, $5::int
    FROM generate_series(0, $1::int - 1) n,
        LATERAL (SELECT CASE WHEN $4::bool THEN 1 + n % (2 * $3::int) ELSE $3::int END AS tasks) s
    RETURNING id, tasks_total
)
INSERT INTO job_progress (job_id, tasks_total, waiting)
SELECT id, tasks_total, int4multirange(int4range(0, tasks_total)) FROM made
"""

_AGENTS = """
INSERT INTO agents (id, hostname, cpus, ram, free_ram, lease_expires_at)
SELECT gen_random_uuid(), 'bench-' || n, $2::int, 16384, 16384,
    clock_timestamp() + interval '1 day'
FROM generate_series(1, $1::int) n
RETURNING id
"""

BATCH_TITLE = "more"


@dataclass(frozen=True)
class Shape:
    """Queues at the top level, jobs spread over them, tasks in each job.

    `staggered`: jobs have from 1 task to twice as many, so that they do not end together.
    """

    queues: int
    jobs: int
    tasks: int
    requeue: int = 3
    staggered: bool = False


# Few queues and jobs, and more tasks than any benchmark needs.
SMALL = Shape(queues=10, jobs=50, tasks=100_000)


async def build(url: str, shape: Shape, agents: int = 0) -> list[str]:
    """Make the farm; the ids of its agents."""
    connection = await connect(url)
    await connection.execute(_QUEUES, shape.queues)
    await connection.execute(
        _JOBS, shape.jobs, shape.queues, shape.tasks, shape.staggered, shape.requeue
    )
    await connection.close()
    agent_ids = await add_agents(url, agents)
    await settle(url)
    return agent_ids


async def add_agents(url: str, count: int, cpus: int = 8) -> list[str]:
    """Agents that are online; one with 0 cpus fits no job. Their ids."""
    connection = await connect(url)
    rows = await connection.fetch(_AGENTS, count, cpus)
    await connection.close()
    return [str(row["id"]) for row in rows]


async def settle(url: str) -> None:
    """Let the planner know what was written; tables that are empty stay as on a new farm."""
    connection = await connect(url)
    await connection.execute("VACUUM ANALYZE jobqueues, jobs, agents")
    await connection.execute("CHECKPOINT")
    await connection.close()
