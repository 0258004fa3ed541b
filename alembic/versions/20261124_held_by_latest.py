"""held by latest: an agent's active assignment is its latest, found without an index of the active.

In that one every assignment that ended left an entry, and whatever was given to the same agent next was
compared with all that could not be cleared away yet.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEX = "uq_assignments_active_agent"

AGENT_IS_IDLE = """
CREATE OR REPLACE FUNCTION agent_is_idle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS ({held}) THEN
        RAISE EXCEPTION 'work is under way: delete it through the service, which takes it back'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
$$
"""
HELD = """SELECT FROM (
        SELECT ended_at FROM assignments WHERE agent_id = OLD.id ORDER BY id DESC LIMIT 1
    ) latest WHERE ended_at IS NULL"""
FORMERLY_HELD = "SELECT FROM assignments WHERE agent_id = OLD.id AND ended_at IS NULL"


def upgrade() -> None:
    op.execute(AGENT_IS_IDLE.format(held=HELD))
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, table_name="assignments", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        # Again where it was begun and failed: such an index is there, and of no use.
        op.drop_index(INDEX, table_name="assignments", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            INDEX,
            "assignments",
            ["agent_id"],
            unique=True,
            postgresql_where=sa.text("ended_at IS NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
    op.execute(AGENT_IS_IDLE.format(held=FORMERLY_HELD))
