"""How far jobs are: what every assignment writes, apart from what was submitted."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    text,
)
from sqlalchemy import Table as CoreTable
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.orm import Mapped, mapped_column

from app.db.table import Table, Timestamp


class Progress(Table):
    """Of each job one row; `waiting` holds the ordinals of the tasks that wait.

    A row that is written a hundred times a second keeps all its former states as long as any other
    session has an old snapshot open, and an index has an entry for each page that they fill. Who
    looks for the row by its job would pass over them all, and so would PostgreSQL itself, to see
    that a key is unique. Therefore the key has a version, which grows now and then: of the latest
    version there are few states, and they come first where a look-up begins with the highest.
    """

    __tablename__ = "job_progress"
    __table_args__ = (
        PrimaryKeyConstraint("job_id", "version"),
        CheckConstraint(
            "tasks_done >= 0 AND tasks_failed >= 0 AND tasks_done + tasks_failed <= tasks_total",
            "task_counts",
        ),
    )

    job_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("jobs.id", ondelete="CASCADE"))
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    tasks_total: Mapped[int] = mapped_column(Integer)
    tasks_done: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    tasks_failed: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    waiting: Mapped[MultiRange[int]] = mapped_column(INT4MULTIRANGE)
    time_started: Mapped[datetime | None] = mapped_column(Timestamp)


def jobs_with(progress: CoreTable, jobs: CoreTable) -> CoreTable:
    """The view `jobs_now`: each job with how far it is."""
    more = ("tasks_done", "tasks_failed", "waiting", "time_started")
    columns = (*jobs.c, *(progress.c[name] for name in more))
    return CoreTable("jobs_now", MetaData(), *(Column(one.name, one.type) for one in columns))
