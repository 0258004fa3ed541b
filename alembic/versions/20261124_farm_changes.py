"""farm changes: a feed of what changed, so that a service need not read the whole farm."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# `changed` holds the statement's rows: new ones, or the old ones where they are gone.
FUNCTIONS = {
    "note_queues": "INSERT INTO farm_changes (queues) SELECT array_agg(id) FROM changed HAVING count(*) > 0",
    "note_jobs": "INSERT INTO farm_changes (jobs) SELECT array_agg(id) FROM changed HAVING count(*) > 0",
    "note_dependents": "INSERT INTO farm_changes (jobs) SELECT array_agg(DISTINCT job_id) FROM changed HAVING count(*) > 0",
    "note_agents": "INSERT INTO farm_changes (agents) SELECT array_agg(id) FROM changed HAVING count(*) > 0",
    # Of assignments only those that are, or were, active count.
    "note_holders": "INSERT INTO farm_changes (agents) SELECT array_agg(DISTINCT agent_id) FROM changed WHERE ended_at IS NULL HAVING count(*) > 0",
    # No ids at all: the whole farm has to be read again.
    "note_everything": "INSERT INTO farm_changes DEFAULT VALUES",
    "note_emptied": "UPDATE assignments SET ended_at = clock_timestamp(), ended_because = 'job_deleted' WHERE ended_at IS NULL; INSERT INTO farm_changes DEFAULT VALUES",
    "note_queue": "INSERT INTO farm_changes (queues) VALUES (ARRAY[NEW.id])",
    "note_agent": "INSERT INTO farm_changes (agents) VALUES (ARRAY[NEW.id])",
}

# Who works, and what is worked on, is not deleted under it: the work has to end first.
GUARDS = {"jobs": ("job_is_idle", "job_id"), "agents": ("agent_is_idle", "agent_id")}


def guard(function: str, column: str) -> str:
    return f"""
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM assignments WHERE {column} = OLD.id AND ended_at IS NULL) THEN
        RAISE EXCEPTION 'work is under way: delete it through the service, which takes it back'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
$$
"""


# To every service, at commit and once: there may be work for agents that wait. A service that wrote
# it itself has said who it is.
HINT = "PERFORM pg_notify('farmqueue', coalesce(current_setting('farmqueue.sender', true), ''))"

# Table, event, which of its rows, function.
STATEMENT_TRIGGERS = [
    ("jobqueues", "INSERT", "NEW", "note_queues"),
    ("jobqueues", "DELETE", "OLD", "note_queues"),
    ("jobs", "INSERT", "NEW", "note_jobs"),
    ("jobs", "UPDATE", "NEW", "note_jobs"),
    ("jobs", "DELETE", "OLD", "note_jobs"),
    ("job_dependencies", "INSERT", "NEW", "note_dependents"),
    ("job_dependencies", "DELETE", "OLD", "note_dependents"),
    ("agents", "INSERT", "NEW", "note_agents"),
    ("agents", "DELETE", "OLD", "note_agents"),
    ("assignments", "INSERT", "NEW", "note_holders"),
    ("assignments", "UPDATE", "OLD", "note_holders"),
    ("assignments", "DELETE", "OLD", "note_holders"),
]

EMPTIED = {
    "jobqueues": "note_everything",
    "jobs": "note_emptied",
    "job_dependencies": "note_everything",
    "agents": "note_emptied",
    "assignments": "note_everything",
    "tasks": "note_everything",
}

# Of these tables most updates are no news: a sign of life, or the fullpath in all queues below one
# that moves. A row trigger that looks before it is called costs nothing then.
ROW_TRIGGERS = {
    "jobqueues": (
        "note_queue",
        "parent_jobqueue_id name priority weight minimum_agents maximum_agents prefer_running_jobs paused",
    ),
    "agents": ("note_agent", "mode online cpus free_ram tags"),
}

FREED = [
    ("assignments", "fk_assignments_agent_id"),
    ("assignments", "fk_assignments_job_id"),
    ("tasks", "fk_tasks_assignment_id"),
]

# Room for the next version of a row in its page; old versions go early, few at a time.
OFTEN_UPDATED = {
    "agents": "fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0",
    "jobs": "fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0",
    "tasks": "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0",
    "assignments": "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0",
    "farm_changes": "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0",
}


# The farm's own lock, before any lock of a table: a cycle that has one of those waits for no other.
LOCK_FARM = "SELECT pg_advisory_xact_lock(1717662317)"

# Before any row is locked: a cycle that gives the agent work meanwhile would wait for the row.
LOCK_BEFORE_DELETE = """
CREATE FUNCTION farm_is_locked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1717662317);
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute(LOCK_FARM)
    create_tables()
    create_triggers()
    create_guards()
    for table, key in FREED:
        # squawk asks whether anybody relies on it: an assignment is to outlive its agent and its
        # job, and only the holder of the farm lock writes it.
        op.execute(
            f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {key}"
        )
    op.execute(
        "ALTER TABLE jobs ADD CONSTRAINT ck_jobs_finished CHECK "
        "((time_finished IS NULL) = (tasks_done + tasks_failed < tasks_total)) NOT VALID"
    )
    for table, settings in OFTEN_UPDATED.items():
        op.execute(f"ALTER TABLE {table} SET ({settings})")


def create_tables() -> None:
    op.create_table(
        "farm_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "xid",
            sa.BigInteger(),
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
            nullable=False,
        ),
        sa.Column("queues", postgresql.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("jobs", postgresql.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("agents", postgresql.ARRAY(sa.Uuid()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_farm_changes")),
    )
    op.create_index("ix_farm_changes_xid", "farm_changes", ["xid"], unique=False)
    op.create_table(
        "farm_changes_kept",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.Column(
            "moved_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_farm_changes_kept_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_farm_changes_kept")),
    )
    op.execute("INSERT INTO farm_changes_kept (since, next) VALUES (0, 0)")


def create_triggers() -> None:
    for name, body in FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body}; IF FOUND THEN {HINT}; END IF; RETURN NULL; END $$"
        )
    for table, event, rows, function in STATEMENT_TRIGGERS:
        op.execute(
            f"CREATE TRIGGER note_{event.lower()} AFTER {event} ON {table} "
            f"REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    for table, function in EMPTIED.items():
        op.execute(
            f"CREATE TRIGGER note_truncate AFTER TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
        )
    for table, (function, columns) in ROW_TRIGGERS.items():
        old, new = (
            ", ".join(f"{row}.{name}" for name in columns.split()) for row in ("OLD", "NEW")
        )
        op.execute(
            f"CREATE TRIGGER note_update AFTER UPDATE ON {table} FOR EACH ROW "
            f"WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION {function}()"
        )


def create_guards() -> None:
    op.execute(LOCK_BEFORE_DELETE)
    for table, (function, column) in GUARDS.items():
        op.execute(
            f"CREATE TRIGGER farm_is_locked BEFORE DELETE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION farm_is_locked()"
        )
        op.execute(guard(function, column))
        op.execute(
            f"CREATE TRIGGER {function} BEFORE DELETE ON {table} FOR EACH ROW "
            f"EXECUTE FUNCTION {function}()"
        )


# An assignment may outlive its agent and its job here; there it was cut from them.
FORMER_KEYS = [
    "UPDATE assignments a SET agent_id = NULL WHERE NOT EXISTS (SELECT FROM agents WHERE id = a.agent_id)",
    "UPDATE assignments a SET job_id = NULL WHERE NOT EXISTS (SELECT FROM jobs WHERE id = a.job_id)",
    "ALTER TABLE assignments ADD CONSTRAINT fk_assignments_agent_id FOREIGN KEY (agent_id) REFERENCES agents (id) ON DELETE SET NULL",
    "ALTER TABLE assignments ADD CONSTRAINT fk_assignments_job_id FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE SET NULL",
    "ALTER TABLE tasks ADD CONSTRAINT fk_tasks_assignment_id FOREIGN KEY (assignment_id) REFERENCES assignments (id)",
]


def downgrade() -> None:
    for table, event, _, _ in STATEMENT_TRIGGERS:
        op.execute(f"DROP TRIGGER note_{event.lower()} ON {table}")
    for table in EMPTIED:
        op.execute(f"DROP TRIGGER note_truncate ON {table}")
    for table in ROW_TRIGGERS:
        op.execute(f"DROP TRIGGER note_update ON {table}")
    for table, (function, _) in GUARDS.items():
        op.execute(f"DROP TRIGGER {function} ON {table}")
        op.execute(f"DROP FUNCTION {function}()")
        op.execute(f"DROP TRIGGER farm_is_locked ON {table}")
    op.execute("DROP FUNCTION farm_is_locked()")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}()")
    op.drop_table("farm_changes_kept")
    op.drop_table("farm_changes")
    for statement in FORMER_KEYS:
        op.execute(statement)
    op.drop_constraint(op.f("ck_jobs_finished"), "jobs", type_="check")
    for table, settings in OFTEN_UPDATED.items():
        if table != "farm_changes":
            names = ", ".join(setting.split(" = ")[0] for setting in settings.split(", "))
            op.execute(f"ALTER TABLE {table} RESET ({names})")
