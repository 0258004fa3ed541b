"""cheaper cycles: tasks have no key to their job, and a cycle tells the feed once what it changed."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The farm's own lock, before any lock of a table: a cycle that has one of those waits for no other.
LOCK_FARM = "SELECT pg_advisory_xact_lock(1717662317)"

# The key looked each task's job up and locked it. Where the same statement emptied the tasks as well
# they are in use, and nothing is left to be done. (By its size: no snapshot is too old to see that.)
TASKS_GO_TOO = """
CREATE FUNCTION tasks_go_too() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM tasks USING gone WHERE tasks.job_id = gone.id;
    ELSIF pg_relation_size('tasks') > 0 THEN
        TRUNCATE tasks;
    END IF;
    RETURN NULL;
END
$$
"""

# A cycle that knows the jobs would give their tasks out after they are gone. It is not waited for: it
# may wait for the tables, which are locked by now.
FARM_IS_HELD = """
CREATE FUNCTION farm_is_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(1717662317) THEN
        RAISE EXCEPTION 'somebody changes who has what: wait for the farm lock first'
            USING ERRCODE = 'lock_not_available',
            HINT = 'BEGIN; SELECT pg_advisory_xact_lock(1717662317); TRUNCATE ...; COMMIT';
    END IF;
    RETURN NULL;
END
$$
"""

# Name, when, which of the rows, function.
OF_JOBS = [
    ("tasks_go_too", "AFTER DELETE", "REFERENCING OLD TABLE AS gone", "tasks_go_too"),
    ("tasks_go_too_emptied", "AFTER TRUNCATE", "", "tasks_go_too"),
    ("farm_is_held", "BEFORE TRUNCATE", "", "farm_is_held"),
]

# What a cycle writes: table, event, which of its rows, function.
OF_CYCLES = [
    ("assignments", "INSERT", "NEW", "note_holders"),
    ("assignments", "UPDATE", "OLD", "note_holders"),
    ("job_progress", "UPDATE", "NEW", "note_progress"),
]
UNLESS_TOLD = "WHEN (current_setting('farmqueue.cycle', true) IS DISTINCT FROM 'told')"


def upgrade() -> None:
    op.execute(LOCK_FARM)
    # As who reads both does, and not by and by.
    op.execute("LOCK TABLE jobs, tasks IN ACCESS EXCLUSIVE MODE")
    for function in (TASKS_GO_TOO, FARM_IS_HELD):
        op.execute(function)
    for name, when, rows, function in OF_JOBS:
        op.execute(
            f"CREATE TRIGGER {name} {when} ON jobs {rows} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    # squawk asks whether anybody relies on it: the triggers do what it did.
    op.execute(
        "-- squawk-ignore ban-drop-constraint\nALTER TABLE tasks DROP CONSTRAINT fk_tasks_job_id"
    )
    note(UNLESS_TOLD)


def note(when: str) -> None:
    for table, event, rows, function in OF_CYCLES:
        op.execute(
            f"CREATE OR REPLACE TRIGGER note_{event.lower()} AFTER {event} ON {table} "
            f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT {when} "
            f"EXECUTE FUNCTION {function}()"
        )


def downgrade() -> None:
    op.execute(LOCK_FARM)
    note("")
    for name, _, _, _ in OF_JOBS:
        op.execute(f"DROP TRIGGER {name} ON jobs")
    op.execute("DROP FUNCTION tasks_go_too()")
    op.execute("DROP FUNCTION farm_is_held()")
    op.execute("DELETE FROM tasks WHERE NOT EXISTS (SELECT FROM jobs WHERE id = tasks.job_id)")
    op.create_foreign_key(
        op.f("fk_tasks_job_id"), "tasks", "jobs", ["job_id"], ["id"], ondelete="CASCADE"
    )
