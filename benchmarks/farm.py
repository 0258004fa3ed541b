"""Farms of a given shape, written straight into the database."""

from dataclasses import dataclass
from uuid import uuid4

from app.db.engine import connect

_QUEUES = """
INSERT INTO jobqueues (name, fullpath, parent_jobqueue_id, weight)
SELECT 'q' || n, '/q' || n, NULL, 1 + n % 10 FROM generate_series(1, $1) n
"""

_JOBS = """
INSERT INTO jobs (title, job_queue_id, start, "end", "by", frames, tasks_total, waiting)
SELECT 'job ' || n, (SELECT min(id) FROM jobqueues) + n % $2, 1, $3, 1, '1-' || $3, $3,
    int4multirange(int4range(0, $3))
FROM generate_series(0, $1 - 1) n
"""

_AGENTS = """
INSERT INTO agents (id, hostname, cpus, ram, free_ram, lease_expires_at)
SELECT id, 'bench-' || id, 8, 16384, 16384, clock_timestamp() + interval '1 day'
FROM unnest($1::uuid[]) id
"""


@dataclass(frozen=True)
class Shape:
    """Queues at the top level, jobs spread over them, tasks in each job."""

    name: str
    queues: int
    jobs: int
    tasks: int


async def build(url: str, shape: Shape, agents: int) -> list[str]:
    """Make the farm; the ids of its agents."""
    agent_ids = [uuid4() for _ in range(agents)]
    connection = await connect(url)
    await connection.execute(_QUEUES.replace("$1", str(shape.queues)))
    jobs = _JOBS.replace("$1", str(shape.jobs)).replace("$2", str(shape.queues))
    await connection.execute(jobs.replace("$3", str(shape.tasks)))
    await connection.execute(_AGENTS, agent_ids)
    await connection.execute("ANALYZE")
    await connection.close()
    return [str(agent_id) for agent_id in agent_ids]
