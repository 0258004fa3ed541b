"""The table of tokens: who may, until when. The secret itself is nowhere."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.access import Role
from app.db.table import Table, Timestamp


class Token(Table):
    """What a token is for. `digest` is the SHA-256 of the whole token.

    Neither its queue nor its agent is a foreign key: a token whose queue is gone stays bound to it,
    and may then change nothing.
    """

    __tablename__ = "tokens"
    __table_args__ = (
        CheckConstraint(f"role IN ({', '.join(repr(role.value) for role in Role)})", "role"),
        CheckConstraint("char_length(name) BETWEEN 1 AND 255", "name_length"),
        CheckConstraint("octet_length(digest) = 32", "digest_length"),
        CheckConstraint("(role = 'agent') = (agent_id IS NOT NULL)", "agent"),
        CheckConstraint("job_queue_id IS NULL OR role IN ('operator', 'join')", "bound"),
        CheckConstraint("uses_left IS NULL OR role = 'join' AND uses_left >= 0", "uses"),
        Index("ix_tokens_agent_id", "agent_id", postgresql_where=text("agent_id IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    role: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())
    created_by: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime | None] = mapped_column(Timestamp)
    revoked_at: Mapped[datetime | None] = mapped_column(Timestamp)
    last_used_at: Mapped[datetime | None] = mapped_column(Timestamp)
    job_queue_id: Mapped[int | None] = mapped_column(BigInteger)
    agent_id: Mapped[UUID | None] = mapped_column()
    uses_left: Mapped[int | None] = mapped_column(Integer)
