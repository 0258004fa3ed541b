"""The tables of what happened: the history, and the feed of changes."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.table import Table, Timestamp


class History(Table):
    """Who did what to which queue, job, task, assignment, when: append-only, no foreign keys.

    A trigger refuses UPDATE and DELETE. Rows about assignments are written under the farm lock, so
    that `id` is the order in which things happened. Each day (UTC) is a partition of its own, which
    app/history/keeping.py makes and lets go.
    """

    __tablename__ = "history"
    __table_args__ = (
        Index("ix_history_job_id", "job_id", "id", postgresql_where=text("job_id IS NOT NULL")),
        Index(
            "ix_history_job_queue_id",
            "job_queue_id",
            "id",
            postgresql_where=text("job_queue_id IS NOT NULL"),
        ),
        Index(
            "ix_history_agent_id", "agent_id", "id", postgresql_where=text("agent_id IS NOT NULL")
        ),
        # What happened to one assignment lies close together: a few pages to look through.
        Index(
            "ix_history_of_assignment",
            "assignment_id",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 16, "autosummarize": "on"},
        ),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(
        Timestamp, server_default=func.clock_timestamp(), primary_key=True
    )
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    job_queue_id: Mapped[int | None] = mapped_column(BigInteger)
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    agent_id: Mapped[UUID | None] = mapped_column()
    assignment_id: Mapped[int | None] = mapped_column(BigInteger)
    detail: Mapped[Any] = mapped_column(JSONB, server_default=text("'{}'"))


def in_models(name: str | None, kind: str, _parents: object = None) -> bool:
    """Whether alembic compares it with the tables here: partitions of the history are not in them.

    To be given to it as `include_name`.
    """
    return kind != "table" or name is None or not name.startswith(f"{History.__tablename__}_")


class Change(Table):
    """What a transaction changed of that which a decision needs: the feed that keeps farms fresh.

    Triggers write it, a row for each statement; a cycle one for its own. See
    app/scheduler/feed.py.
    """

    __tablename__ = "farm_changes"
    __table_args__ = (Index("ix_farm_changes_xid", "xid"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xid: Mapped[int] = mapped_column(
        BigInteger, server_default=text("(pg_current_xact_id()::text)::bigint")
    )
    queues: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    jobs: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    agents: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    tokens: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))


class IdempotencyKey(Table):
    """A submission that was answered, for a day: the same again gets the same answer."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_made_at", "made_at"),)

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[str] = mapped_column(Text)
    answer: Mapped[str | None] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())


class ChangesKept(Table):
    """One row: changes of transactions before `since` are gone, those before `next` go next."""

    __tablename__ = "farm_changes_kept"
    __table_args__ = (CheckConstraint("id = 1", "one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"))
    since: Mapped[int] = mapped_column(BigInteger)
    next: Mapped[int] = mapped_column(BigInteger)
    moved_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())


class FarmEpoch(Table):
    """One row: where the database was when it was last looked at. See app/scheduler/epoch.py."""

    __tablename__ = "farm_epoch"
    __table_args__ = (
        CheckConstraint("id = 1", "one_row"),
        CheckConstraint("epoch BETWEEN 0 AND 8191", "epoch"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"))
    epoch: Mapped[int] = mapped_column(server_default=text("0"))
    server: Mapped[int | None] = mapped_column(BigInteger)
    timeline: Mapped[str | None] = mapped_column(Text)
    begun_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())


class SchemaFits(Table):
    """One row: the oldest revision whose release runs on this schema. See app/db/schema.py."""

    __tablename__ = "schema_fits"
    __table_args__ = (CheckConstraint("id = 1", "one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"))
    runs_from: Mapped[str] = mapped_column(Text)
