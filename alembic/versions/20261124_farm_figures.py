"""farm figures: what went on, for each minute and each hour."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "farm_figures",
        sa.Column("seconds", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agents", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("queues", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("tasks_done", sa.BigInteger(), nullable=False),
        sa.Column("tasks_failed", sa.BigInteger(), nullable=False),
        sa.Column("jobs_started", sa.BigInteger(), nullable=False),
        sa.Column("wait_seconds", sa.Float(), nullable=False),
        sa.Column("longest_wait", sa.Float(), nullable=False),
        sa.Column("history_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("seconds IN (60, 3600)", name=op.f("ck_farm_figures_seconds")),
        sa.PrimaryKeyConstraint("seconds", "at", name=op.f("pk_farm_figures")),
    )


def downgrade() -> None:
    op.drop_table("farm_figures")
