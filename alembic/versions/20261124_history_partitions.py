"""history partitions: one for each day (UTC), so that what is too old goes without a trace."""

from contextlib import suppress

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BRIN = {"pages_per_range": 16, "autosummarize": "on"}

# Name, columns, and what else there is to say.
INDEXES = [
    ("ix_history_job_id", ["job_id", "id"], {"postgresql_where": "job_id IS NOT NULL"}),
    (
        "ix_history_job_queue_id",
        ["job_queue_id", "id"],
        {"postgresql_where": "job_queue_id IS NOT NULL"},
    ),
    ("ix_history_agent_id", ["agent_id", "id"], {"postgresql_where": "agent_id IS NOT NULL"}),
    (
        "ix_history_of_assignment",
        ["assignment_id"],
        {"postgresql_using": "brin", "postgresql_with": BRIN},
    ),
]

TRIGGERS = [
    "CREATE TRIGGER history_is_kept BEFORE UPDATE OR DELETE ON history FOR EACH ROW EXECUTE FUNCTION history_is_kept()",
    "CREATE TRIGGER history_is_not_emptied BEFORE TRUNCATE ON history FOR EACH STATEMENT EXECUTE FUNCTION history_is_kept()",
]

# The table as it was becomes the partition of all that happens before a midnight to come, which all
# its rows are before. Far enough away: until the tables are exchanged this CHECK refuses what happens
# later, and whoever was interrupted in between has a week to come back.
BOUND = """
DO $$
DECLARE
    newest timestamptz := (SELECT greatest(clock_timestamp(), max(at)) FROM history);
BEGIN
    EXECUTE format(
        'ALTER TABLE history ADD CONSTRAINT ck_history_whole CHECK (at < %L) NOT VALID',
        to_char(newest AT TIME ZONE 'UTC' + interval '8 days', 'YYYY-MM-DD') || ' 00:00+00'
    );
END
$$
"""

# Only the catalogue changes here, so that nobody waits for long.
MOVE_ASIDE = """
DO $$
BEGIN
    LOCK TABLE history IN ACCESS EXCLUSIVE MODE;
    DROP TRIGGER history_is_kept ON history;
    DROP TRIGGER history_is_not_emptied ON history;
    ALTER TABLE history DROP CONSTRAINT pk_history,
        ADD CONSTRAINT history_whole_pkey PRIMARY KEY USING INDEX history_whole_pkey;
    ALTER INDEX ix_history_job_id RENAME TO history_whole_job_id_id_idx;
    ALTER INDEX ix_history_job_queue_id RENAME TO history_whole_job_queue_id_id_idx;
    ALTER INDEX ix_history_agent_id RENAME TO history_whole_agent_id_id_idx;
    ALTER INDEX ix_history_of_assignment RENAME TO history_whole_assignment_id_idx;
    ALTER SEQUENCE history_id_seq RENAME TO history_whole_id_seq;
    ALTER TABLE history RENAME TO history_whole;
END
$$
"""

# The numbers go on from the former sequence. The CHECK spares the attached table a scan. A table
# without rows is not worth a partition.
BRING_IN = """
DO $$
DECLARE
    today date := CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date);
    first date := today;
    bound text;
    day date;
BEGIN
    PERFORM setval('history_id_seq', last_value, is_called) FROM history_whole_id_seq;
    ALTER TABLE history_whole ALTER COLUMN id DROP IDENTITY;
    IF EXISTS (SELECT FROM history_whole) THEN
        SELECT substring(pg_get_constraintdef(oid) FROM '''([0-9-]+)') INTO STRICT bound
        FROM pg_constraint
        WHERE conrelid = CAST('history_whole' AS regclass) AND conname = 'ck_history_whole';
        first := CAST(bound AS date);
        EXECUTE format(
            'ALTER TABLE history ATTACH PARTITION history_whole FOR VALUES FROM (MINVALUE) TO (%L)',
            bound || ' 00:00+00'
        );
        ALTER TABLE history_whole DROP CONSTRAINT ck_history_whole;
    ELSE
        DROP TABLE history_whole;
    END IF;
    FOR day IN SELECT CAST(d AS date) FROM generate_series(first, today + 7, interval '1 day') d LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF history FOR VALUES FROM (%L) TO (%L)',
            'history_' || to_char(day, 'YYYYMMDD'),
            to_char(day, 'YYYY-MM-DD') || ' 00:00+00',
            to_char(day + 1, 'YYYY-MM-DD') || ' 00:00+00'
        );
    END LOOP;
    CREATE TABLE history_default PARTITION OF history DEFAULT;
END
$$
"""

# Back into one table. Who writes waits for the copy; who reads does not.
COPY = [
    "LOCK TABLE history IN SHARE ROW EXCLUSIVE MODE",
    "CREATE TABLE history_plain (LIKE history INCLUDING DEFAULTS)",
    "INSERT INTO history_plain SELECT * FROM history ORDER BY id",
]

# Tasks tell of an assignment that is there, from the second revision down: what was forgotten since
# comes back as what is known of it.
REMEMBER = """
INSERT INTO assignments (id, job_id, ordinals, started_at, ended_at, ended_because)
OVERRIDING SYSTEM VALUE
SELECT t.assignment_id, t.job_id, array_agg(t.ordinal ORDER BY t.ordinal),
    min(coalesce(t.time_started, now())), max(coalesce(t.time_finished, now())), 'completed'
FROM tasks t
WHERE NOT EXISTS (SELECT FROM assignments a WHERE a.id = t.assignment_id)
GROUP BY t.assignment_id, t.job_id
"""
TAKE_OUT = """
DO $$
BEGIN
    ALTER SEQUENCE history_id_seq RENAME TO history_parted_id_seq;
    ALTER TABLE history_plain ALTER COLUMN id
        ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME history_id_seq);
    PERFORM setval('history_id_seq', last_value, is_called) FROM history_parted_id_seq;
    DROP TABLE history;
    ALTER TABLE history_plain RENAME TO history;
    ALTER TABLE history RENAME CONSTRAINT plain_pk_history TO pk_history;
END
$$
"""


def upgrade() -> None:
    try:
        prepare()
        exchange()
    except Exception:
        # The farm goes on with the table as it was, and this would end it in a week.
        with suppress(sa.exc.SQLAlchemyError):
            no_bound()
        raise


def prepare() -> None:
    """What takes long, beside those who work."""
    # Again where it was begun and failed.
    no_bound()
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS history_whole_pkey")
        op.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS history_whole_pkey ON history (id, at)"
        )
        op.execute(BOUND)
        op.execute(
            "-- squawk-ignore prefer-robust-stmts\n"
            "ALTER TABLE history VALIDATE CONSTRAINT ck_history_whole"
        )


def no_bound() -> None:
    # squawk asks whether anybody relies on it: nobody, it is of this revision alone.
    with op.get_context().autocommit_block():
        op.execute(
            "-- squawk-ignore ban-drop-constraint\n"
            "ALTER TABLE history DROP CONSTRAINT IF EXISTS ck_history_whole"
        )


def exchange() -> None:
    """What only the catalogue knows of, in one transaction, when no cycle is under way."""
    op.execute("SELECT pg_advisory_xact_lock(1717662317)")
    op.execute(MOVE_ASIDE)
    op.create_table(
        "history",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("job_queue_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("agent_id", sa.Uuid(), nullable=True),
        sa.Column("assignment_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", "at", name=op.f("pk_history")),
        postgresql_partition_by="RANGE (at)",
    )
    create_indexes("history", "")
    for trigger in TRIGGERS:
        op.execute(trigger)
    op.execute(BRING_IN)


def downgrade() -> None:
    op.execute(REMEMBER)
    for statement in COPY:
        op.execute(statement)
    op.create_primary_key("plain_pk_history", "history_plain", ["id"])
    create_indexes("history_plain", "plain_")
    op.execute(TAKE_OUT)
    for name, _, _ in INDEXES:
        op.execute(f"ALTER INDEX plain_{name} RENAME TO {name}")
    for trigger in TRIGGERS:
        op.execute(trigger)


def create_indexes(table: str, prefix: str) -> None:
    for name, columns, options in INDEXES:
        own = dict(options)
        if "postgresql_where" in own:
            own["postgresql_where"] = sa.text(own["postgresql_where"])
        op.create_index(f"{prefix}{name}", table, columns, **own)
