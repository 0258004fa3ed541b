"""page sessions: who is logged in to the page."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "page_sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("token_id", sa.BigInteger(), nullable=True),
        sa.Column("token_digest", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "octet_length(digest) = 32", name=op.f("ck_page_sessions_digest_length")
        ),
        sa.CheckConstraint(
            "octet_length(token_digest) = 32", name=op.f("ck_page_sessions_token_digest_length")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_page_sessions")),
    )


def downgrade() -> None:
    op.drop_table("page_sessions")
