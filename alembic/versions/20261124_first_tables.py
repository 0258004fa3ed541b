"""first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The history is append-only: what happened is not edited.
HISTORY_IS_KEPT = """
CREATE FUNCTION history_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is append-only' USING ERRCODE = 'restrict_violation';
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("keeps_id", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cpus", sa.Integer(), nullable=False),
        sa.Column("ram", sa.Integer(), nullable=False),
        sa.Column("free_ram", sa.Integer(), nullable=False),
        sa.Column(
            "tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), server_default=sa.text("'enabled'"), nullable=False),
        sa.Column("online", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "last_seen",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("last_asked", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "time_registered",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "mode IN ('enabled', 'draining', 'disabled')", name=op.f("ck_agents_mode")
        ),
        sa.CheckConstraint(
            "char_length(hostname) BETWEEN 1 AND 255", name=op.f("ck_agents_hostname_length")
        ),
        sa.CheckConstraint("cpus >= 0", name=op.f("ck_agents_cpus")),
        sa.CheckConstraint("free_ram >= 0", name=op.f("ck_agents_free_ram")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_agents_port")),
        sa.CheckConstraint("ram >= 0", name=op.f("ck_agents_ram")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_index(
        "ix_agents_lease",
        "agents",
        ["lease_expires_at"],
        unique=False,
        postgresql_where=sa.text("online"),
    )
    op.create_index(
        "uq_agents_hostname_port",
        "agents",
        ["hostname", "port"],
        unique=True,
        postgresql_where=sa.text("port IS NOT NULL"),
    )
    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("job_queue_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("assignment_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
    )
    op.create_index(
        "ix_history_agent_id",
        "history",
        ["agent_id", "id"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_history_assignment_id",
        "history",
        ["assignment_id", "id"],
        unique=False,
        postgresql_where=sa.text("assignment_id IS NOT NULL"),
    )
    op.create_index(
        "ix_history_job_id",
        "history",
        ["job_id", "id"],
        unique=False,
        postgresql_where=sa.text("job_id IS NOT NULL"),
    )
    op.create_index(
        "ix_history_job_queue_id",
        "history",
        ["job_queue_id", "id"],
        unique=False,
        postgresql_where=sa.text("job_queue_id IS NOT NULL"),
    )
    op.create_table(
        "jobqueues",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("parent_jobqueue_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fullpath", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("weight", sa.Integer(), server_default=sa.text("10"), nullable=False),
        sa.Column("minimum_agents", sa.Integer(), nullable=True),
        sa.Column("maximum_agents", sa.Integer(), nullable=True),
        sa.Column(
            "prefer_running_jobs", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint(
            "position('/' in name) = 0", name=op.f("ck_jobqueues_name_without_slash")
        ),
        sa.CheckConstraint(
            "char_length(name) BETWEEN 1 AND 255", name=op.f("ck_jobqueues_name_length")
        ),
        sa.CheckConstraint("maximum_agents >= 0", name=op.f("ck_jobqueues_maximum_agents")),
        sa.CheckConstraint(
            "minimum_agents <= maximum_agents", name=op.f("ck_jobqueues_minimum_within_maximum")
        ),
        sa.CheckConstraint("minimum_agents >= 0", name=op.f("ck_jobqueues_minimum_agents")),
        sa.CheckConstraint(
            "parent_jobqueue_id <> id", name=op.f("ck_jobqueues_not_its_own_parent")
        ),
        sa.CheckConstraint("priority BETWEEN -1000 AND 1000", name=op.f("ck_jobqueues_priority")),
        sa.CheckConstraint("weight BETWEEN 0 AND 1000000", name=op.f("ck_jobqueues_weight")),
        sa.ForeignKeyConstraint(
            ["parent_jobqueue_id"], ["jobqueues.id"], name=op.f("fk_jobqueues_parent_jobqueue_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobqueues")),
        sa.UniqueConstraint(
            "parent_jobqueue_id",
            "name",
            name=op.f("uq_jobqueues_parent_jobqueue_id_name"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_jobqueues_fullpath", "jobqueues", ["fullpath"], unique=False, postgresql_using="hash"
    )
    op.create_index("ix_jobqueues_name", "jobqueues", ["name"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("job_queue_id", sa.BigInteger(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("weight", sa.Integer(), server_default=sa.text("10"), nullable=False),
        sa.Column("minimum_agents", sa.Integer(), nullable=True),
        sa.Column("maximum_agents", sa.Integer(), nullable=True),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("start", sa.Numeric(), nullable=False),
        sa.Column("end", sa.Numeric(), nullable=False),
        sa.Column("by", sa.Numeric(), nullable=False),
        sa.Column("frames", sa.Text(), nullable=False),
        sa.Column("num_tiles", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("batch", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("batch_contiguous", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("requeue", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("cpus", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("ram", sa.Integer(), server_default=sa.text("32"), nullable=False),
        sa.Column(
            "required_tags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column(
            "excluded_tags",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("environ", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("data", sa.JSON(), server_default=sa.text("'null'"), nullable=False),
        sa.Column("tasks_total", sa.Integer(), nullable=False),
        sa.Column("tasks_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("tasks_failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("waiting", postgresql.INT4MULTIRANGE(), nullable=False),
        sa.Column(
            "time_submitted",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("time_started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_finished", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint('"by" > 0', name=op.f("ck_jobs_by")),
        sa.CheckConstraint("batch >= 1", name=op.f("ck_jobs_batch")),
        sa.CheckConstraint(
            "char_length(title) BETWEEN 1 AND 255", name=op.f("ck_jobs_title_length")
        ),
        sa.CheckConstraint("cpus >= 0", name=op.f("ck_jobs_cpus")),
        sa.CheckConstraint("maximum_agents >= 0", name=op.f("ck_jobs_maximum_agents")),
        sa.CheckConstraint(
            "minimum_agents <= maximum_agents", name=op.f("ck_jobs_minimum_within_maximum")
        ),
        sa.CheckConstraint("minimum_agents >= 0", name=op.f("ck_jobs_minimum_agents")),
        sa.CheckConstraint("num_tiles >= 1", name=op.f("ck_jobs_num_tiles")),
        sa.CheckConstraint("priority BETWEEN -1000 AND 1000", name=op.f("ck_jobs_priority")),
        sa.CheckConstraint("ram >= 0", name=op.f("ck_jobs_ram")),
        sa.CheckConstraint("requeue >= -1", name=op.f("ck_jobs_requeue")),
        sa.CheckConstraint('start <= "end"', name=op.f("ck_jobs_start_before_end")),
        sa.CheckConstraint(
            "tasks_done >= 0 AND tasks_failed >= 0 AND tasks_done + tasks_failed <= tasks_total",
            name=op.f("ck_jobs_task_counts"),
        ),
        sa.CheckConstraint("tasks_total BETWEEN 1 AND 1000000", name=op.f("ck_jobs_tasks_total")),
        sa.CheckConstraint("weight BETWEEN 0 AND 1000000", name=op.f("ck_jobs_weight")),
        sa.ForeignKeyConstraint(
            ["job_queue_id"], ["jobqueues.id"], name=op.f("fk_jobs_job_queue_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_job_queue_id", "jobs", ["job_queue_id", "id"], unique=False)
    op.create_index(
        "ix_jobs_runnable",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("NOT paused AND NOT isempty(waiting)"),
    )
    op.create_index(
        "ix_jobs_unfinished",
        "jobs",
        ["job_queue_id"],
        unique=False,
        postgresql_where=sa.text("tasks_done + tasks_failed < tasks_total"),
    )
    op.create_table(
        "assignments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("ordinals", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column(
            "done", postgresql.ARRAY(sa.Integer()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column(
            "failed", postgresql.ARRAY(sa.Integer()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_because", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "ended_because IN ('completed', 'released', 'lease_lost', 'agent_disabled', 'agent_offline', 'agent_deleted', 'job_stopped', 'job_deleted')",
            name=op.f("ck_assignments_ended_because"),
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_because IS NULL)", name=op.f("ck_assignments_ended")
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_assignments_agent_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_assignments_job_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
    )
    op.create_index(
        "ix_assignments_active_job",
        "assignments",
        ["job_id"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_assignments_agent_id", "assignments", ["agent_id", "id"], unique=False)
    op.create_index("ix_assignments_job_id", "assignments", ["job_id"], unique=False)
    op.create_index(
        "uq_assignments_active_agent",
        "assignments",
        ["agent_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "job_dependencies",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_job_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "job_id <> parent_job_id", name=op.f("ck_job_dependencies_not_its_own_parent")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_dependencies_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["parent_job_id"],
            ["jobs.id"],
            name=op.f("fk_job_dependencies_parent_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "parent_job_id", name=op.f("pk_job_dependencies")),
    )
    op.create_index(
        "ix_job_dependencies_parent_job_id", "job_dependencies", ["parent_job_id"], unique=False
    )
    op.create_table(
        "tasks",
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "failed_by", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("assignment_id", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("progress", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("time_started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_finished", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed')", name=op.f("ck_tasks_state")
        ),
        sa.CheckConstraint("attempts >= 0 AND failures >= 0", name=op.f("ck_tasks_counts")),
        sa.CheckConstraint("ordinal BETWEEN 0 AND 999999", name=op.f("ck_tasks_ordinal")),
        sa.CheckConstraint("progress BETWEEN 0 AND 1", name=op.f("ck_tasks_progress")),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignments.id"], name=op.f("fk_tasks_assignment_id")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_tasks_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "ordinal", name=op.f("pk_tasks")),
    )
    op.create_index(
        "ix_tasks_assignment_id",
        "tasks",
        ["assignment_id"],
        unique=False,
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_index(
        "ix_tasks_failed",
        "tasks",
        ["job_id", "ordinal"],
        unique=False,
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index(
        "ix_tasks_failed_before",
        "tasks",
        ["job_id", "ordinal"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting' AND failed_by <> '{}'"),
    )
    op.execute(HISTORY_IS_KEPT)
    op.execute(
        "CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE ON history "
        "FOR EACH ROW EXECUTE FUNCTION history_is_kept()"
    )
    op.execute(
        "CREATE TRIGGER history_is_not_emptied BEFORE TRUNCATE ON history "
        "FOR EACH STATEMENT EXECUTE FUNCTION history_is_kept()"
    )


def downgrade() -> None:
    op.drop_index(
        "ix_tasks_failed_before",
        table_name="tasks",
        postgresql_where=sa.text("state = 'waiting' AND failed_by <> '{}'"),
    )
    op.drop_index(
        "ix_tasks_failed", table_name="tasks", postgresql_where=sa.text("state = 'failed'")
    )
    op.drop_index(
        "ix_tasks_assignment_id", table_name="tasks", postgresql_where=sa.text("state = 'running'")
    )
    op.drop_table("tasks")
    op.drop_index("ix_job_dependencies_parent_job_id", table_name="job_dependencies")
    op.drop_table("job_dependencies")
    op.drop_index(
        "uq_assignments_active_agent",
        table_name="assignments",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_index("ix_assignments_job_id", table_name="assignments")
    op.drop_index("ix_assignments_agent_id", table_name="assignments")
    op.drop_index(
        "ix_assignments_active_job",
        table_name="assignments",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.drop_table("assignments")
    op.drop_index(
        "ix_jobs_unfinished",
        table_name="jobs",
        postgresql_where=sa.text("tasks_done + tasks_failed < tasks_total"),
    )
    op.drop_index(
        "ix_jobs_runnable",
        table_name="jobs",
        postgresql_where=sa.text("NOT paused AND NOT isempty(waiting)"),
    )
    op.drop_index("ix_jobs_job_queue_id", table_name="jobs")
    op.drop_table("jobs")
    op.drop_index("ix_jobqueues_name", table_name="jobqueues")
    op.drop_index("ix_jobqueues_fullpath", table_name="jobqueues", postgresql_using="hash")
    op.drop_table("jobqueues")
    op.drop_index(
        "ix_history_job_queue_id",
        table_name="history",
        postgresql_where=sa.text("job_queue_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_history_job_id", table_name="history", postgresql_where=sa.text("job_id IS NOT NULL")
    )
    op.drop_index(
        "ix_history_assignment_id",
        table_name="history",
        postgresql_where=sa.text("assignment_id IS NOT NULL"),
    )
    op.drop_index(
        "ix_history_agent_id",
        table_name="history",
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    op.drop_table("history")
    op.drop_index(
        "uq_agents_hostname_port", table_name="agents", postgresql_where=sa.text("port IS NOT NULL")
    )
    op.drop_index("ix_agents_lease", table_name="agents", postgresql_where=sa.text("online"))
    op.drop_table("agents")
    op.execute("DROP FUNCTION history_is_kept()")
