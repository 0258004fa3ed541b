"""lesser roles: what a service does that only the owner of the tables may, in functions of the owner.

Each runs as the owner, whoever calls it, looks for its tables in their schema alone, and does to nobody
but the owner more than the service needs. `farmqueue migrate --service-role` says who may call them.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Of the owner, or of who may become it: whatever a function refuses, they do without it.
BY_OWNER = "pg_has_role(session_user, current_user, 'MEMBER')"
TODAY = "CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date)"

# A new table has the rights that are given by default; of a part of the history nobody needs any.
MAKE_PART = """
CREATE FUNCTION make_history_part(part text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    holder text;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE history INCLUDING DEFAULTS)', part);
    FOR holder IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE CAST(CAST(a.grantee AS regrole) AS text) END
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = CAST(quote_ident(part) AS regclass) AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM %s', part, holder);
    END LOOP;
END
$$
"""

# Made apart and attached: those who write to other days go on meanwhile. A day that has rows in the
# default partition cannot get one of its own.
MAKE_DAY = f"""
CREATE FUNCTION make_history_day(day date) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part text := 'history_' || to_char(day, 'YYYYMMDD');
    since timestamptz := CAST(day AS timestamp) AT TIME ZONE 'UTC';
    until timestamptz := CAST(day + 1 AS timestamp) AT TIME ZONE 'UTC';
BEGIN
    IF day NOT BETWEEN {TODAY} - 1 AND {TODAY} + 31 AND NOT {BY_OWNER} THEN
        RAISE EXCEPTION 'only days of this month are made by others than the owner'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (SELECT FROM history_default WHERE at >= since AND at < until) THEN
        RETURN false;
    END IF;
    PERFORM make_history_part(part);
    EXECUTE format('ALTER TABLE history ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', part, since, until);
    RETURN true;
END
$$
"""

DROP_PART = rf"""
CREATE FUNCTION drop_history_part(part text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    until timestamptz := (
        SELECT CAST(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)') AS timestamptz)
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = CAST('history' AS regclass) AND c.relname = part
    );
BEGIN
    IF until IS NULL THEN
        RAISE EXCEPTION 'the history has no part % with an end', quote_ident(part)
            USING ERRCODE = 'undefined_table';
    END IF;
    IF until > CAST({TODAY} AS timestamp) AT TIME ZONE 'UTC' AND NOT {BY_OWNER} THEN
        RAISE EXCEPTION 'a day of the history that is not over is dropped by the owner alone'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE format('ALTER TABLE history DETACH PARTITION %I', part);
    EXECUTE format('DROP TABLE %I', part);
    RETURN true;
END
$$
"""

# By the last row first, which is found at once; all rows are looked through only where it is old.
DEFAULT_IS_OLD = """
CREATE FUNCTION history_default_is_old(before timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce((SELECT at < before FROM history_default ORDER BY id DESC LIMIT 1), false)
        AND NOT EXISTS (SELECT FROM history_default WHERE at >= before);
END
$$
"""

# Looked at again when nobody can write any more.
RENEW_DEFAULT = f"""
CREATE FUNCTION renew_history_default(before timestamptz) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF before > CAST({TODAY} AS timestamp) AT TIME ZONE 'UTC' AND NOT {BY_OWNER} THEN
        RAISE EXCEPTION 'a day of the history that is not over is dropped by the owner alone'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT history_default_is_old(before) THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY history IN ACCESS EXCLUSIVE MODE;
    IF NOT history_default_is_old(before) THEN
        RETURN false;
    END IF;
    ALTER TABLE history DETACH PARTITION history_default;
    DROP TABLE history_default;
    PERFORM make_history_part('history_default');
    ALTER TABLE history ATTACH PARTITION history_default DEFAULT;
    RETURN true;
END
$$
"""

# An identity column's next value comes after the one set; none is ever lowered.
MOVE_IDS = """
CREATE FUNCTION move_ids(of_assignments bigint, gap bigint) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    numbered text;
    ids regclass;
    last_id bigint;
BEGIN
    IF gap < 0 THEN
        RAISE EXCEPTION 'ids go on, never back' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH numbered IN ARRAY ARRAY['assignments', 'jobs', 'jobqueues', 'tokens'] LOOP
        ids := pg_get_serial_sequence(numbered, 'id');
        EXECUTE format('SELECT greatest(max(id), pg_sequence_last_value(%L), 0) FROM %I', ids, numbered) INTO last_id;
        PERFORM setval(ids, CASE numbered WHEN 'assignments' THEN greatest(of_assignments, last_id, 1) ELSE last_id + gap END);
    END LOOP;
END
$$
"""

# Those that the service calls, which nobody else may; then those that these call.
OF_THE_OWNER = {
    "make_history_day(date)": MAKE_DAY,
    "drop_history_part(text)": DROP_PART,
    "renew_history_default(timestamptz)": RENEW_DEFAULT,
    "move_ids(bigint, bigint)": MOVE_IDS,
}
WITHIN = {
    "make_history_part(text)": MAKE_PART,
    "history_default_is_old(timestamptz)": DEFAULT_IS_OLD,
}

# No table, function or operator of the caller's stands in for one of the farm's.
PIN = """
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION {function} SET search_path = %I, pg_temp', current_schema());
    ALTER FUNCTION {function} SET timezone = 'UTC';
    ALTER FUNCTION {function} SET datestyle = 'ISO';
END
$$
"""


def upgrade() -> None:
    for function, made in (WITHIN | OF_THE_OWNER).items():
        op.execute(made)
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    for function in OF_THE_OWNER:
        op.execute(PIN.format(function=function))


def downgrade() -> None:
    for function in OF_THE_OWNER | WITHIN:
        op.execute(f"DROP FUNCTION {function}")
