"""schema fits: the oldest revision whose release runs on the present schema.

A revision that takes away what a former release needs sets `runs_from` to the first that does not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schema_fits",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("runs_from", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_schema_fits_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schema_fits")),
    )
    op.execute("INSERT INTO schema_fits (runs_from) VALUES ('0008') ON CONFLICT DO NOTHING")


def downgrade() -> None:
    op.drop_table("schema_fits")
