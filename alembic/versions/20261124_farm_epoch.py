"""farm epoch: where the database is, so that a restored one is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REASONS = (
    "ended_because IN ('completed', 'released', 'lease_lost', 'agent_disabled',"
    " 'agent_offline', 'agent_deleted', 'job_stopped', 'job_deleted'{})"
)


def upgrade() -> None:
    op.create_table(
        "farm_epoch",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("epoch", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("server", sa.BigInteger(), nullable=True),
        sa.Column("timeline", sa.Text(), nullable=True),
        sa.Column(
            "begun_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name=op.f("ck_farm_epoch_one_row")),
        sa.CheckConstraint("epoch BETWEEN 0 AND 8191", name=op.f("ck_farm_epoch_epoch")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_farm_epoch")),
        if_not_exists=True,
    )
    op.execute("INSERT INTO farm_epoch DEFAULT VALUES ON CONFLICT DO NOTHING")
    _allow(", 'restored'")


def downgrade() -> None:
    op.execute(
        "UPDATE assignments SET ended_because = 'lease_lost' WHERE ended_because = 'restored'"
    )
    _allow("")
    op.drop_table("farm_epoch")


def _allow(more: str) -> None:
    """In one transaction; rows that are there already are as the former rule says."""
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"
        "ALTER TABLE assignments DROP CONSTRAINT IF EXISTS ck_assignments_ended_because"
    )
    op.execute(
        "ALTER TABLE assignments ADD CONSTRAINT ck_assignments_ended_because "
        f"CHECK ({REASONS.format(more)}) NOT VALID"
    )
    with op.get_context().autocommit_block():
        op.execute(
            "-- squawk-ignore prefer-robust-stmts\n"
            "ALTER TABLE assignments VALIDATE CONSTRAINT ck_assignments_ended_because"
        )
