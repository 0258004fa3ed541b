"""The tables of the page: who is logged in."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from app.db.table import Table, Timestamp


class Session(Table):
    """Somebody who logged in with a token. `digest` is the SHA-256 of what their cookie says.

    It is worth what its token is: `token_id` is null for the admin token of the environment, and
    `token_digest` is that of the token, so that an id that was given anew is no other's.
    """

    __tablename__ = "page_sessions"
    __table_args__ = (
        CheckConstraint("octet_length(digest) = 32", "digest_length"),
        CheckConstraint("octet_length(token_digest) = 32", "token_digest_length"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    token_id: Mapped[int | None] = mapped_column(BigInteger)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())
    expires_at: Mapped[datetime] = mapped_column(Timestamp)
