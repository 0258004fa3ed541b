"""tokens: who may, and which of them was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HINT = "PERFORM pg_notify('farmqueue', coalesce(current_setting('farmqueue.sender', true), ''))"

# A token that was revoked, or lives shorter, must be heard of; one that was used is no news.
FUNCTIONS = {
    "note_token": "INSERT INTO farm_changes (tokens) VALUES (ARRAY[OLD.id])",
    "note_tokens_emptied": "INSERT INTO farm_changes DEFAULT VALUES",
}
NEWS = "revoked_at, expires_at, role, name, digest, job_queue_id, agent_id"

# What of an agent is news, before and from now on.
OF_AGENTS = "mode, online, cpus, free_ram, tags"
OF_BOUND_AGENTS = f"{OF_AGENTS}, job_queue_id"


def upgrade() -> None:
    # Quick: columns without a default. For the shortest time under the farm's own lock, as a cycle
    # that has a lock of a table waits for no other.
    op.execute("SELECT pg_advisory_xact_lock(1717662317)")
    op.create_table(
        "tokens",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("job_queue_id", sa.BigInteger(), nullable=True),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("uses_left", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "role IN ('admin', 'operator', 'submitter', 'viewer', 'metrics', 'join', 'agent')",
            name=op.f("ck_tokens_role"),
        ),
        sa.CheckConstraint(
            "char_length(name) BETWEEN 1 AND 255", name=op.f("ck_tokens_name_length")
        ),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_tokens_digest_length")),
        sa.CheckConstraint(
            "(role = 'agent') = (agent_id IS NOT NULL)", name=op.f("ck_tokens_agent")
        ),
        sa.CheckConstraint(
            "job_queue_id IS NULL OR role IN ('operator', 'join')", name=op.f("ck_tokens_bound")
        ),
        sa.CheckConstraint(
            "uses_left IS NULL OR role = 'join' AND uses_left >= 0", name=op.f("ck_tokens_uses")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )
    op.create_index(
        "ix_tokens_agent_id",
        "tokens",
        ["agent_id"],
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    op.add_column("farm_changes", sa.Column("tokens", sa.ARRAY(sa.BigInteger()), nullable=True))
    op.add_column("jobs", sa.Column("submitted_by", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("joined_with", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("job_queue_id", sa.BigInteger(), nullable=True))
    create_triggers()


def create_triggers() -> None:
    for name, body in FUNCTIONS.items():
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body}; {HINT}; RETURN NULL; END $$"
        )
    note_update("tokens", NEWS, "note_token")
    note_update("agents", OF_BOUND_AGENTS, "note_agent")
    op.execute(
        "CREATE TRIGGER note_delete AFTER DELETE ON tokens FOR EACH ROW "
        "EXECUTE FUNCTION note_token()"
    )
    op.execute(
        "CREATE TRIGGER note_truncate AFTER TRUNCATE ON tokens FOR EACH STATEMENT "
        "EXECUTE FUNCTION note_tokens_emptied()"
    )


def note_update(table: str, columns: str, function: str) -> None:
    old, new = (
        ", ".join(f"{row}.{name}" for name in columns.split(", ")) for row in ("OLD", "NEW")
    )
    op.execute(
        f"CREATE OR REPLACE TRIGGER note_update AFTER UPDATE ON {table} FOR EACH ROW "
        f"WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION {function}()"
    )


def downgrade() -> None:
    op.execute("SELECT pg_advisory_xact_lock(1717662317)")
    note_update("agents", OF_AGENTS, "note_agent")
    op.drop_column("agents", "job_queue_id")
    op.drop_column("agents", "joined_with")
    op.drop_column("jobs", "submitted_by")
    op.drop_column("farm_changes", "tokens")
    op.drop_table("tokens")
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}()")
