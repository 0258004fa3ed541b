"""The table of figures: what went on, a row for each minute, and for each hour."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Float, Integer, PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.table import Table, Timestamp


class Figures(Table):
    """Of the minute, or the hour (`seconds`), that begins `at`. See app/figures/keeping.py.

    `agents` counts them by state, `queues` has assigned, entitled and waiting of each queue by its
    id, where there are any. `history_id` is the last of the history that is counted in it.
    """

    __tablename__ = "farm_figures"
    __table_args__ = (
        PrimaryKeyConstraint("seconds", "at"),
        CheckConstraint("seconds IN (60, 3600)", "seconds"),
    )

    seconds: Mapped[int] = mapped_column(Integer, autoincrement=False)
    at: Mapped[datetime] = mapped_column(Timestamp)
    agents: Mapped[Any] = mapped_column(JSONB)
    queues: Mapped[Any] = mapped_column(JSONB)
    tasks_done: Mapped[int] = mapped_column(BigInteger)
    tasks_failed: Mapped[int] = mapped_column(BigInteger)
    jobs_started: Mapped[int] = mapped_column(BigInteger)
    wait_seconds: Mapped[float] = mapped_column(Float)
    longest_wait: Mapped[float] = mapped_column(Float)
    history_id: Mapped[int] = mapped_column(BigInteger)
