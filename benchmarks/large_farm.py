"""A farm as a large house has it, and a small one by the same rules, written by SQL in seconds.

Every choice is drawn from a hash of the row's number: each run makes the same farm.
"""

from dataclasses import dataclass
from itertools import accumulate

from app.db.driver import connect
from benchmarks.farm import settle

# A number below `below` for row n; the draws of one row are independent of each other.
_DRAW = """
CREATE FUNCTION pg_temp.draw(n bigint, which bigint, below int) RETURNS int
LANGUAGE sql IMMUTABLE AS 'SELECT ((hashint8extended(n, which) & 2147483647) % below)::int'
"""

# One level of the tree: queues $1 .. $1 + $2 - 1, spread below queues $3 .. $3 + $4 - 1.
# Nine in ten have a maximum; upper levels have room for a crowd, the lowest for eight or more.
_LEVEL = """
INSERT INTO jobqueues (id, parent_jobqueue_id, name, fullpath, priority, weight, minimum_agents,
    maximum_agents, prefer_running_jobs)
OVERRIDING SYSTEM VALUE
SELECT n, p.id, 'q' || n, coalesce(p.fullpath, '') || '/q' || n,
    (ARRAY[0, 0, 0, 0, 0, 0, 0, 10, -10, 50])[1 + pg_temp.draw(n, 1, 10)],
    pg_temp.draw(n, 2, 20) * 10,
    nullif(pg_temp.draw(n, 3, 4), 3),
    CASE WHEN pg_temp.draw(n, 4, 10) > 0 THEN $5::int + pg_temp.draw(n, 5, 4 * $5::int) END,
    pg_temp.draw(n, 6, 5) = 0
FROM generate_series($1::bigint, $1::bigint + $2::bigint - 1) n
LEFT JOIN jobqueues p ON p.id = $3::bigint + n % greatest($4::bigint, 1)
"""

# Forty kinds of requirements: five sizes by eight sets of tags.
_JOBS = """
WITH made AS (
    INSERT INTO jobs (title, job_queue_id, priority, weight, minimum_agents, maximum_agents, start,
        "end", "by", frames, cpus, ram, required_tags, excluded_tags, tasks_total)
    SELECT 'job ' || n, 1 + pg_temp.draw(n, 1, $2::int),
        (ARRAY[0, 0, 0, 0, 0, 0, 10, 10, -10, 50])[1 + pg_temp.draw(n, 2, 10)],
        pg_temp.draw(n, 3, 20) * 10,
        nullif(pg_temp.draw(n, 4, 4), 3),
        CASE WHEN pg_temp.draw(n, 5, 10) > 2 THEN 3 + pg_temp.draw(n, 6, 30) END,
        1, $3::int, 1, '1-' || $3::int,
        (ARRAY[1, 2, 4, 8, 16])[1 + kind / 8], (ARRAY[1, 4, 8, 32, 64])[1 + kind / 8] * 1024,
        CAST((ARRAY['{}', '{linux}', '{windows}', '{gpu}', '{linux,nuke}', '{windows,houdini}',
            '{gpu,linux}', '{}'])[1 + kind % 8] AS text[]),
        CAST(CASE kind % 8 WHEN 7 THEN '{gpu}' ELSE '{}' END AS text[]),
        $3::int
    FROM generate_series(0, $1::bigint - 1) n, LATERAL (SELECT pg_temp.draw(n, 7, 40) AS kind) k
    RETURNING id, tasks_total
)
INSERT INTO job_progress (job_id, tasks_total, waiting)
SELECT id, tasks_total, int4multirange(int4range(0, tasks_total)) FROM made
"""

_AGENTS = """
INSERT INTO agents (id, hostname, cpus, ram, free_ram, tags, lease_expires_at)
SELECT gen_random_uuid(), 'node' || n, (ARRAY[4, 8, 16, 32, 64])[1 + pg_temp.draw(n, 1, 5)],
    gb * 1024, gb * 1024,
    CASE WHEN pg_temp.draw(n, 3, 10) < 7 THEN ARRAY['linux'] ELSE ARRAY['windows'] END
    || CASE WHEN pg_temp.draw(n, 4, 10) < 3 THEN ARRAY['gpu'] ELSE '{}' END
    || CASE WHEN pg_temp.draw(n, 5, 10) < 4 THEN ARRAY['nuke'] ELSE '{}' END
    || CASE WHEN pg_temp.draw(n, 6, 10) < 4 THEN ARRAY['houdini'] ELSE '{}' END,
    clock_timestamp() + interval '1 day'
FROM generate_series(1, $1::bigint) n,
    LATERAL (SELECT (ARRAY[8, 16, 32, 64, 128, 256])[1 + pg_temp.draw(n, 2, 6)] AS gb) m
RETURNING id
"""

_ROOM = [2_000, 1_000, 400, 100, 30, 8]  # the least maximum of a queue, by level


@dataclass(frozen=True)
class Plan:
    """Queues of each level, from the top; jobs all over them; tasks in each job."""

    levels: tuple[int, ...]
    jobs: int
    tasks: int
    agents: int

    @property
    def queues(self) -> int:
        return sum(self.levels)


LARGE = Plan((10, 90, 400, 1_500, 3_000, 5_000), jobs=100_000, tasks=10, agents=10_000)
# As many agents at work, so that jobs and queues fill up as they do on the large one.
LITTLE = Plan((1, 1, 2, 2, 2, 2), jobs=100, tasks=10_000, agents=10_000)


async def build_plan(url: str, plan: Plan) -> list[str]:
    """Make the farm; the ids of its agents, in no order."""
    connection = await connect(url)
    await connection.execute(_DRAW)
    above, of_above = 0, 0
    firsts = [1, *(1 + before for before in accumulate(plan.levels))]
    for first, queues, room in zip(firsts, plan.levels, _ROOM, strict=False):
        await connection.execute(_LEVEL, first, queues, above, of_above, room)
        above, of_above = first, queues
    await connection.execute(
        "SELECT setval(pg_get_serial_sequence('jobqueues', 'id'), max(id)) FROM jobqueues"
    )
    await connection.execute(_JOBS, plan.jobs, plan.queues, plan.tasks)
    rows = await connection.fetch(_AGENTS, plan.agents)
    await connection.close()
    await settle(url)
    return [str(row["id"]) for row in rows]
