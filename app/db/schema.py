"""Which schema the database has, and whether this code runs on it.

A release runs on the schema that it brings, and on those of later releases as long as they keep
what it needs: each schema says which is the oldest revision whose release still runs on it. So an
upgrade migrates first, while the former release goes on serving, and replaces the processes after.
"""

from app.errors import Unavailable

# The newest revision under alembic/versions, which the tables of this code are.
HEAD = "0017"

# A select list's item, e.g. "0009 0007": the revision, and the oldest that still runs; null without
# a revision. Revisions are numbered, so that they compare as text.
TOLD = "(SELECT version_num || ' ' || runs_from FROM alembic_version, schema_fits)"


# What is to be done where the service's role has not all that it needs beside tables.
NO_FUNCTIONS = (
    "the service's role may not make functions of its own session: run `farmqueue migrate "
    "--service-role NAME`, or GRANT TEMPORARY ON DATABASE as the owner of the database"
)
MAKES_FUNCTIONS = "has_database_privilege({role}, current_database(), 'TEMPORARY')"


def check(told: str | None) -> str:
    """The revision. Raises `Unavailable`, with what to do, where this code does not run on it."""
    found, _, runs_from = (told or "").partition(" ")
    if not runs_from <= HEAD <= found:
        raise Unavailable(wrong(found))
    return found


def wrong(found: str | None) -> str:
    return (
        f"the database's schema is {found or 'missing'}, this service needs {HEAD}: "
        "run `farmqueue migrate`, or the release that fits"
    )
