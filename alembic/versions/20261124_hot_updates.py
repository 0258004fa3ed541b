"""hot updates: no index has a column that every assignment or sign of life changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Name, table, columns, condition.
INDEXES = [
    ("ix_jobs_not_finished", "jobs", ["job_queue_id"], "time_finished IS NULL"),
    ("ix_tasks_failures", "tasks", ["job_id", "ordinal"], "failures > 0"),
]
FORMER_INDEXES = [
    ("ix_jobs_unfinished", "jobs", ["job_queue_id"], "tasks_done + tasks_failed < tasks_total"),
    ("ix_jobs_runnable", "jobs", ["id"], "NOT paused AND NOT isempty(waiting)"),
    (
        "ix_history_assignment_id",
        "history",
        ["assignment_id", "id"],
        "assignment_id IS NOT NULL",
    ),
    ("ix_agents_lease", "agents", ["lease_expires_at"], "online"),
    ("ix_assignments_job_id", "assignments", ["job_id"], None),
    ("ix_tasks_assignment_id", "tasks", ["assignment_id"], "state = 'running'"),
    ("ix_tasks_failed", "tasks", ["job_id", "ordinal"], "state = 'failed'"),
    (
        "ix_tasks_failed_before",
        "tasks",
        ["job_id", "ordinal"],
        "state = 'waiting' AND failed_by <> '{}'",
    ),
]


def upgrade() -> None:
    # squawk wants what can be run twice: this can.
    op.execute(
        "-- squawk-ignore prefer-robust-stmts\nALTER TABLE jobs VALIDATE CONSTRAINT ck_jobs_finished"
    )
    with op.get_context().autocommit_block():
        create(INDEXES)
        op.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_history_of_assignment ON history "
            "USING brin (assignment_id) WITH (pages_per_range = 16, autosummarize = on)"
        )
        drop(FORMER_INDEXES)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        create(FORMER_INDEXES)
        drop(INDEXES)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_history_of_assignment")


def create(indexes: list[tuple]) -> None:
    """Again where it was begun and failed: such an index is there, and of no use."""
    drop(indexes)
    for name, table, columns, where in indexes:
        op.create_index(
            name,
            table,
            columns,
            postgresql_where=None if where is None else sa.text(where),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def drop(indexes: list[tuple]) -> None:
    for name, table, _, _ in indexes:
        op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
