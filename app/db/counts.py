"""Counts that are derived, each in one place: SQL fragments for the stores."""

# The number of ordinals that wait, of jobs_now (alias j).
WAITING = "(SELECT coalesce(sum(upper(r) - lower(r)), 0)::int FROM unnest(j.waiting) AS r)"

# What neither waits nor has ended is running.
RUNNING = f"(j.tasks_total - j.tasks_done - j.tasks_failed - {WAITING})"

# Jobs with a task that waits or runs: few among all that ever were, and in an index of their own.
UNFINISHED = "j.time_finished IS NULL"

# The assignment that each of these agents has now, as `s`, null for one that has none: whatever is
# not an agent's latest has ended. A shorter way than an index of the active ones, where every
# assignment that ended leaves an entry until it is cleared away.
HELD_BY = """LEFT JOIN LATERAL (
    SELECT * FROM assignments WHERE agent_id = {agent}.id ORDER BY id DESC LIMIT 1
) s ON s.ended_at IS NULL"""

# Jobs that a statement's part `counted`, which tells `job_id` and `finished`, brought to their end.
FINISHED = """finished AS (
    UPDATE jobs SET time_finished = clock_timestamp()
    FROM counted c WHERE c.finished AND jobs.id = c.job_id
)"""

# Agents at each job: an agent holds at most one active assignment.
HELD = """
held (job_id, agents) AS (
    SELECT job_id, count(*)::int FROM assignments WHERE ended_at IS NULL GROUP BY job_id
)"""

# Agents in or below each queue: from the held jobs up through every ancestor.
# Needs HELD before it, under WITH RECURSIVE. UNION ALL: each step is one job's agents.
ASSIGNED = """
climb (id, job_id, agents) AS (
    SELECT j.job_queue_id, j.id, h.agents FROM held h JOIN jobs j ON j.id = h.job_id
    WHERE j.job_queue_id IS NOT NULL
    UNION ALL
    SELECT q.parent_jobqueue_id, c.job_id, c.agents FROM climb c JOIN jobqueues q ON q.id = c.id
    WHERE q.parent_jobqueue_id IS NOT NULL
),
assigned (job_queue_id, agents) AS (SELECT id, sum(agents)::int FROM climb GROUP BY id)"""

# How likely a cycle that writes a job's progress gives it the next version: see `Progress`.
NEW_VERSION = 1 / 16
