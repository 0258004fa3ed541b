"""job progress: what every assignment writes of a job, in a table of its own.

Whoever holds a snapshot open for long keeps all former states of rows alive; what a cycle looks up by
a key must not pass over them. Former releases cannot run on this: they need the columns of jobs. Jobs
are locked while theirs are copied.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# The farm's own lock, before any lock of a table.
LOCK_FARM = "SELECT pg_advisory_xact_lock(1717662317)"

HINT = "PERFORM pg_notify('farmqueue', coalesce(current_setting('farmqueue.sender', true), ''))"

VIEW = """
CREATE VIEW jobs_now AS
SELECT j.*, p.tasks_done, p.tasks_failed, p.waiting, p.time_started
FROM jobs j JOIN job_progress p ON p.job_id = j.id
"""

NOTE_PROGRESS = f"""
CREATE FUNCTION note_progress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO farm_changes (jobs) SELECT array_agg(job_id) FROM changed HAVING count(*) > 0;
    IF FOUND THEN {HINT}; END IF;
    RETURN NULL;
END $$
"""

SETTINGS = (
    "fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0"
)

COPY = """
INSERT INTO job_progress (job_id, tasks_total, tasks_done, tasks_failed, waiting, time_started)
SELECT id, tasks_total, tasks_done, tasks_failed, waiting, time_started FROM jobs
"""

COPY_BACK = """
UPDATE jobs SET tasks_done = p.tasks_done, tasks_failed = p.tasks_failed, waiting = p.waiting,
    time_started = p.time_started
FROM job_progress p WHERE p.job_id = jobs.id
"""

MOVED = ("tasks_done", "tasks_failed", "waiting", "time_started")


def upgrade() -> None:
    op.execute(LOCK_FARM)
    op.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
    create_table()
    op.execute(COPY)
    op.execute("ANALYZE job_progress")
    # squawk warns of clients that still use them: see above.
    for constraint in ("ck_jobs_task_counts", "ck_jobs_finished"):
        op.execute(
            f"-- squawk-ignore ban-drop-constraint\nALTER TABLE jobs DROP CONSTRAINT {constraint}"
        )
    for column in MOVED:
        op.execute(f"-- squawk-ignore ban-drop-column\nALTER TABLE jobs DROP COLUMN {column}")
    op.execute("ALTER TABLE jobs RESET (fillfactor)")
    op.execute(VIEW)
    create_triggers()
    op.execute("UPDATE schema_fits SET runs_from = '0015'")


def create_table() -> None:
    op.create_table(
        "job_progress",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("tasks_total", sa.Integer(), nullable=False),
        sa.Column("tasks_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("tasks_failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("waiting", postgresql.INT4MULTIRANGE(), nullable=False),
        sa.Column("time_started", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "tasks_done >= 0 AND tasks_failed >= 0 AND tasks_done + tasks_failed <= tasks_total",
            name=op.f("ck_job_progress_task_counts"),
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_progress_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "version", name=op.f("pk_job_progress")),
    )
    op.execute(f"ALTER TABLE job_progress SET ({SETTINGS})")


def create_triggers() -> None:
    op.execute(NOTE_PROGRESS)
    op.execute(
        "CREATE TRIGGER note_update AFTER UPDATE ON job_progress REFERENCING NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION note_progress()"
    )
    op.execute(
        "CREATE TRIGGER note_truncate AFTER TRUNCATE ON job_progress "
        "FOR EACH STATEMENT EXECUTE FUNCTION note_everything()"
    )


def downgrade() -> None:
    op.execute(LOCK_FARM)
    op.execute("DROP VIEW jobs_now")
    op.add_column("jobs", sa.Column("tasks_done", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "jobs", sa.Column("tasks_failed", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("jobs", sa.Column("waiting", postgresql.INT4MULTIRANGE(), nullable=True))
    op.add_column("jobs", sa.Column("time_started", sa.DateTime(timezone=True), nullable=True))
    op.execute(COPY_BACK)
    op.alter_column("jobs", "waiting", nullable=False)
    op.create_check_constraint(
        op.f("ck_jobs_task_counts"),
        "jobs",
        "tasks_done >= 0 AND tasks_failed >= 0 AND tasks_done + tasks_failed <= tasks_total",
    )
    op.create_check_constraint(
        op.f("ck_jobs_finished"),
        "jobs",
        "(time_finished IS NULL) = (tasks_done + tasks_failed < tasks_total)",
    )
    op.execute("ALTER TABLE jobs SET (fillfactor = 70)")
    op.drop_table("job_progress")
    op.execute("DROP FUNCTION note_progress()")
    op.execute("UPDATE schema_fits SET runs_from = '0008'")
