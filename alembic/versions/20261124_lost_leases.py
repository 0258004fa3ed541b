"""lost leases: how many agents went silent with a task."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEX = "ix_tasks_troubled"
FORMER_INDEX = "ix_tasks_failures"


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN IF NOT EXISTS lost_leases integer DEFAULT 0 NOT NULL")
    # Again where it was begun and failed.
    op.execute(
        "-- squawk-ignore ban-drop-constraint\n"
        "ALTER TABLE tasks DROP CONSTRAINT IF EXISTS ck_tasks_lost_leases"
    )
    op.execute(
        "ALTER TABLE tasks ADD CONSTRAINT ck_tasks_lost_leases CHECK (lost_leases >= 0) NOT VALID"
    )
    with op.get_context().autocommit_block():
        op.execute(
            "-- squawk-ignore prefer-robust-stmts\n"
            "ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_lost_leases"
        )
        _replace(FORMER_INDEX, INDEX, "failures > 0 OR lost_leases > 0")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _replace(INDEX, FORMER_INDEX, "failures > 0")
    op.drop_constraint(op.f("ck_tasks_lost_leases"), "tasks", type_="check")
    op.drop_column("tasks", "lost_leases")


def _replace(former: str, name: str, where: str) -> None:
    """Again where it was begun and failed: such an index is there, and of no use."""
    op.drop_index(name, table_name="tasks", postgresql_concurrently=True, if_exists=True)
    op.create_index(
        name,
        "tasks",
        ["job_id", "ordinal"],
        postgresql_where=sa.text(where),
        postgresql_concurrently=True,
        if_not_exists=True,
    )
    op.drop_index(former, table_name="tasks", postgresql_concurrently=True, if_exists=True)
