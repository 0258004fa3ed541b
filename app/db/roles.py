"""Roles with less than the owner of the tables: what the service needs, and what a reader may see.

`farmqueue migrate` as the owner gives it, to the roles that it is told, again at each call: what is
said here is what they have from then on. What later revisions make is theirs by default, so that
a service of the former release goes on between a revision and the end of the migration.
"""

import json
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import schema

# One at a time, and not while a replica makes or drops a partition.
KEEPING_LOCK = 0x6B656570  # "keep"

EVERYTHING = "SELECT, INSERT, UPDATE, DELETE"
# Tables of which the service has less. The history is written once; which schema this is says the
# migration alone.
LESS = {"history": "SELECT, INSERT", "alembic_version": "SELECT", "schema_fits": "SELECT"}

# What no reader sees: digests of tokens and sessions, and what others submitted under which key.
UNSEEN = {
    "tokens": "digest",
    "idempotency_keys": "key digest answer",
    "page_sessions": "digest token_digest",
}

_OTHERS = text("""
SELECT quote_ident(asked.name) AS name, r.oid IS NULL AS missing,
    r.oid IS NOT NULL
        AND pg_has_role(r.oid, coalesce(c.relowner,
            CAST(quote_ident(current_user) AS regrole)), 'MEMBER')
        AS is_owner
FROM unnest(CAST(:names AS text[])) AS asked (name)
LEFT JOIN pg_roles r ON r.rolname = asked.name
LEFT JOIN pg_class c ON c.oid = to_regclass('alembic_version')
""")

# Partitions are reached by way of their table.
_TABLES = text("""
SELECT c.relname AS name, quote_ident(c.relname) AS quoted,
    (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attname <> ALL (string_to_array(
                coalesce(CAST(:unseen AS jsonb) ->> c.relname, ''), ' '))) AS seen
FROM pg_class c
WHERE c.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace)
    AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
ORDER BY c.relname
""")

# Those of the owner that the service calls: all others are called by triggers, or by these.
_FUNCTIONS = text("""
SELECT CAST(CAST(p.oid AS regprocedure) AS text) FROM pg_proc p
WHERE p.pronamespace = CAST(quote_ident(current_schema()) AS regnamespace)
    AND p.prosecdef
""")

_PLACE = text("""
SELECT quote_ident(current_schema()), quote_ident(current_database()),
    CAST(CAST(relowner AS regrole) AS text)
FROM pg_class WHERE oid = CAST('alembic_version' AS regclass)
""")


_MAKES_FUNCTIONS = text(
    "SELECT " + schema.MAKES_FUNCTIONS.format(role="CAST(CAST(:name AS text) AS name)")
)


class WrongRole(Exception):
    """It cannot be given less than the owner has."""


async def check(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Raise `WrongRole`, with what to do, for one that is not there, or is the owner's equal."""
    for row in await connection.execute(_OTHERS, {"names": list(names)}):
        if row.missing:
            raise WrongRole(
                f"there is no role {row.name}: CREATE ROLE {row.name} LOGIN PASSWORD '…'"
            )
        if row.is_owner:
            raise WrongRole(
                f"the role {row.name} may do all that the owner of the tables may, "
                "who it is, or a superuser: name another one"
            )


async def grant(
    connection: AsyncConnection, service: Sequence[str], readers: Sequence[str]
) -> None:
    """Let these roles have what they need, no less and no more. The transaction is the caller's."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEEPING_LOCK})
    await check(connection, [*service, *readers])
    for role in service:
        await _all(connection, role, await _of_service(connection))
        if not await connection.scalar(_MAKES_FUNCTIONS, {"name": role}):
            raise WrongRole(
                f"the role {role} may not make functions of its session, which the owner of the "
                f"database has to allow: GRANT TEMPORARY ON DATABASE … TO {role}"
            )
    for role in readers:
        await _all(connection, role, await _of_reader(connection))


async def _all(connection: AsyncConnection, role: str, grants: Sequence[str]) -> None:
    name = await connection.scalar(text("SELECT quote_ident(:name)"), {"name": role})
    for statement in grants:
        await connection.execute(text(statement.replace("{role}", name)))


async def _of_service(connection: AsyncConnection) -> list[str]:
    schema, database, by_default, grants = await _of_both(connection)
    grants.append(f"GRANT TEMPORARY ON DATABASE {database} TO {{role}}")  # functions of a session
    for table in await connection.execute(_TABLES, {"unseen": "{}"}):
        rights = LESS.get(table.name, EVERYTHING)
        grants.append(f"GRANT {rights} ON {table.quoted} TO {{role}}")
    grants.append(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {{role}}")
    for function in await connection.scalars(_FUNCTIONS):
        grants.append(f"GRANT EXECUTE ON FUNCTION {function} TO {{role}}")
    for what in (f"{EVERYTHING} ON TABLES", "USAGE ON SEQUENCES", "EXECUTE ON FUNCTIONS"):
        grants.append(f"{by_default} GRANT {what} TO {{role}}")
    return grants


async def _of_reader(connection: AsyncConnection) -> list[str]:
    _, _, by_default, grants = await _of_both(connection)
    for table in await connection.execute(_TABLES, {"unseen": json.dumps(UNSEEN)}):
        columns = f" ({table.seen})" if table.name in UNSEEN else ""
        grants.append(f"GRANT SELECT{columns} ON {table.quoted} TO {{role}}")
    grants.append(f"{by_default} GRANT SELECT ON TABLES TO {{role}}")
    return grants


async def _of_both(connection: AsyncConnection) -> tuple[str, str, str, list[str]]:
    """The schema, the database, how defaults begin, and the way in, with nothing of before."""
    schema, database, owner = (await connection.execute(_PLACE)).one()
    by_default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}"
    kinds = ("TABLES", "SEQUENCES", "FUNCTIONS")
    return (
        schema,
        database,
        by_default,
        [
            *(f"REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM {{role}}" for kind in kinds),
            *(f"{by_default} REVOKE ALL ON {kind} FROM {{role}}" for kind in kinds),
            f"GRANT CONNECT ON DATABASE {database} TO {{role}}",
            f"REVOKE ALL ON SCHEMA {schema} FROM {{role}}",
            f"GRANT USAGE ON SCHEMA {schema} TO {{role}}",
        ],
    )
