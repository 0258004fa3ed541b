"""paths without index: a queue that moves changes every fullpath below it, in place."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Rows that are there already get their room as they change.
    op.execute(
        "-- squawk-ignore prefer-robust-stmts\n"
        "ALTER TABLE jobqueues SET (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05)"
    )
    with op.get_context().autocommit_block():
        op.drop_index(
            "ix_jobqueues_fullpath",
            table_name="jobqueues",
            postgresql_concurrently=True,
            if_exists=True,
        )


def downgrade() -> None:
    op.execute("ALTER TABLE jobqueues RESET (fillfactor, autovacuum_vacuum_scale_factor)")
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_jobqueues_fullpath",
            "jobqueues",
            ["fullpath"],
            postgresql_using="hash",
            postgresql_concurrently=True,
            if_not_exists=True,
        )
