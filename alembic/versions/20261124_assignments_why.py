"""assignments why: the walk that led to each."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE assignments ADD COLUMN IF NOT EXISTS why text")


def downgrade() -> None:
    op.drop_column("assignments", "why")
