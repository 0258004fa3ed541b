"""The tables. What the schemas refuse, the database refuses too."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.figure_table import Figures
from app.db.page_tables import Session
from app.db.progress_table import Progress, jobs_with
from app.db.records import History
from app.db.table import Table, Timestamp
from app.db.token_table import Token
from app.ranges import MAX_NAME, MAX_PRIORITY, MAX_TASKS, MAX_WEIGHT


def _turn_checks() -> list[CheckConstraint]:
    """The limits that queues and jobs share, as the schemas in app/fields.py state them."""
    return [
        CheckConstraint(f"priority BETWEEN -{MAX_PRIORITY} AND {MAX_PRIORITY}", "priority"),
        CheckConstraint(f"weight BETWEEN 0 AND {MAX_WEIGHT}", "weight"),
        CheckConstraint("minimum_agents >= 0", "minimum_agents"),
        CheckConstraint("maximum_agents >= 0", "maximum_agents"),
        CheckConstraint("minimum_agents <= maximum_agents", "minimum_within_maximum"),
    ]


class JobQueue(Table):
    """A node of the tree that holds queues and jobs; the root is not stored."""

    __tablename__ = "jobqueues"
    __table_args__ = (
        UniqueConstraint("parent_jobqueue_id", "name", postgresql_nulls_not_distinct=True),
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {MAX_NAME}", "name_length"),
        CheckConstraint("position('/' in name) = 0", "name_without_slash"),
        CheckConstraint("parent_jobqueue_id <> id", "not_its_own_parent"),
        *_turn_checks(),
        Index("ix_jobqueues_name", "name"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    parent_jobqueue_id: Mapped[int | None] = mapped_column(ForeignKey("jobqueues.id"))
    name: Mapped[str] = mapped_column(Text)
    fullpath: Mapped[str] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    weight: Mapped[int] = mapped_column(Integer, server_default=text("10"))
    minimum_agents: Mapped[int | None] = mapped_column(Integer)
    maximum_agents: Mapped[int | None] = mapped_column(Integer)
    prefer_running_jobs: Mapped[bool] = mapped_column(server_default=false())
    paused: Mapped[bool] = mapped_column(server_default=false())


class Job(Table):
    """Work to be done: `tasks_total` tasks, numbered (ordinal) from 0 in order of frame, then tile.

    How far it is stands in `job_progress`; `jobs_now` shows both. A task gets a row of its own when
    it is first assigned, so that a job of a million tasks is two rows until agents work on it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        *_turn_checks(),
        CheckConstraint(f"char_length(title) BETWEEN 1 AND {MAX_NAME}", "title_length"),
        CheckConstraint(f"tasks_total BETWEEN 1 AND {MAX_TASKS}", "tasks_total"),
        CheckConstraint("num_tiles >= 1", "num_tiles"),
        CheckConstraint("batch >= 1", "batch"),
        CheckConstraint("requeue >= -1", "requeue"),
        CheckConstraint("cpus >= 0", "cpus"),
        CheckConstraint("ram >= 0", "ram"),
        CheckConstraint('"by" > 0', "by"),
        CheckConstraint('start <= "end"', "start_before_end"),
        Index("ix_jobs_job_queue_id", "job_queue_id", "id"),
        # Few among all that ever ran.
        Index(
            "ix_jobs_not_finished", "job_queue_id", postgresql_where=text("time_finished IS NULL")
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    job_queue_id: Mapped[int | None] = mapped_column(ForeignKey("jobqueues.id"))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    weight: Mapped[int] = mapped_column(Integer, server_default=text("10"))
    minimum_agents: Mapped[int | None] = mapped_column(Integer)
    maximum_agents: Mapped[int | None] = mapped_column(Integer)
    paused: Mapped[bool] = mapped_column(server_default=false())
    start: Mapped[Decimal] = mapped_column(Numeric)
    end: Mapped[Decimal] = mapped_column(Numeric)
    by: Mapped[Decimal] = mapped_column(Numeric)
    frames: Mapped[str] = mapped_column(Text)
    num_tiles: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    batch: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    batch_contiguous: Mapped[bool] = mapped_column(server_default=true())
    requeue: Mapped[int] = mapped_column(Integer, server_default=text("3"))
    cpus: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    ram: Mapped[int] = mapped_column(Integer, server_default=text("32"))
    required_tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    excluded_tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    environ: Mapped[dict[str, str]] = mapped_column(JSON, server_default=text("'{}'"))
    # json, not jsonb: the agent gets the text as it was submitted, order of keys included.
    data: Mapped[Any] = mapped_column(JSON(none_as_null=False), server_default=text("'null'"))
    tasks_total: Mapped[int] = mapped_column(Integer)
    time_submitted: Mapped[datetime] = mapped_column(
        Timestamp, server_default=func.clock_timestamp()
    )
    time_finished: Mapped[datetime | None] = mapped_column(Timestamp)
    # The token that it came with; null: of the environment, or from before there were tokens.
    submitted_by: Mapped[int | None] = mapped_column(BigInteger)


class JobDependency(Table):
    """`job_id` runs only when `parent_job_id` is done."""

    __tablename__ = "job_dependencies"
    __table_args__ = (
        PrimaryKeyConstraint("job_id", "parent_job_id"),
        CheckConstraint("job_id <> parent_job_id", "not_its_own_parent"),
        Index("ix_job_dependencies_parent_job_id", "parent_job_id"),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    parent_job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))


class Agent(Table):
    """A machine, or a slot of one, that asks for work.

    `mode` is what an operator wants of it, `online` whether it holds a lease.
    """

    __tablename__ = "agents"
    __table_args__ = (
        CheckConstraint(f"char_length(hostname) BETWEEN 1 AND {MAX_NAME}", "hostname_length"),
        CheckConstraint("port BETWEEN 1 AND 65535", "port"),
        CheckConstraint("cpus >= 0", "cpus"),
        CheckConstraint("ram >= 0", "ram"),
        CheckConstraint("free_ram >= 0", "free_ram"),
        CheckConstraint("mode IN ('enabled', 'draining', 'disabled')", "mode"),
        Index(
            "uq_agents_hostname_port",
            "hostname",
            "port",
            unique=True,
            postgresql_where=text("port IS NOT NULL"),
        ),
        # None on the lease: every call renews it, and looking through all agents costs little.
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    hostname: Mapped[str] = mapped_column(Text)
    port: Mapped[int | None] = mapped_column(Integer)
    # It came with an id that it keeps itself: a registration without one is never of it.
    keeps_id: Mapped[bool] = mapped_column(server_default=false())
    cpus: Mapped[int] = mapped_column(Integer)
    ram: Mapped[int] = mapped_column(Integer)
    free_ram: Mapped[int] = mapped_column(Integer)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    version: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text, server_default=text("'enabled'"))
    online: Mapped[bool] = mapped_column(server_default=true())
    lease_expires_at: Mapped[datetime] = mapped_column(Timestamp)
    last_seen: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())
    # When it last asked for work: what was taken back since then it may still be working on.
    last_asked: Mapped[datetime | None] = mapped_column(Timestamp)
    time_registered: Mapped[datetime] = mapped_column(
        Timestamp, server_default=func.clock_timestamp()
    )
    # The join token that it came with last, and the queue that this one was bound to.
    joined_with: Mapped[int | None] = mapped_column(BigInteger)
    job_queue_id: Mapped[int | None] = mapped_column(BigInteger)


class Assignment(Table):
    """An agent's hold on tasks of one job. `done` and `failed` are what the agent said of them.

    It outlives its job and its agent, so that late calls are still recognised: no foreign keys.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        CheckConstraint(
            "ended_because IN ('completed', 'released', 'lease_lost', 'agent_disabled',"
            " 'agent_offline', 'agent_deleted', 'job_stopped', 'job_deleted', 'restored')",
            "ended_because",
        ),
        CheckConstraint("(ended_at IS NULL) = (ended_because IS NULL)", "ended"),
        Index("ix_assignments_active_job", "job_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_assignments_agent_id", "agent_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    agent_id: Mapped[UUID | None] = mapped_column()
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    ordinals: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    done: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    failed: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    started_at: Mapped[datetime] = mapped_column(Timestamp, server_default=func.clock_timestamp())
    ended_at: Mapped[datetime | None] = mapped_column(Timestamp)
    ended_because: Mapped[str | None] = mapped_column(Text)
    # The walk that led to it, as `policy.made` writes it.
    why: Mapped[str | None] = mapped_column(Text)


class Task(Table):
    """A task that was assigned at least once; one with no row is waiting and untouched.

    `assignment_id` is its latest; `failed_by` holds the agents that failed it, which get it again
    only when every other has. Its job is no foreign key, which would lock that for each task that
    goes out: a trigger of the jobs takes their tasks away with them.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        PrimaryKeyConstraint("job_id", "ordinal"),
        CheckConstraint(f"ordinal BETWEEN 0 AND {MAX_TASKS - 1}", "ordinal"),
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed')", "state"),
        CheckConstraint("attempts >= 0 AND failures >= 0", "counts"),
        CheckConstraint("lost_leases >= 0", "lost_leases"),
        CheckConstraint("progress BETWEEN 0 AND 1", "progress"),
        # Few at any time, and not by state: a task that is done touches no index.
        Index(
            "ix_tasks_troubled",
            "job_id",
            "ordinal",
            postgresql_where=text("failures > 0 OR lost_leases > 0"),
        ),
    )

    job_id: Mapped[int] = mapped_column(BigInteger)
    ordinal: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lost_leases: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failed_by: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid), server_default=text("'{}'"))
    assignment_id: Mapped[int] = mapped_column(BigInteger)
    last_error: Mapped[str | None] = mapped_column(Text)
    progress: Mapped[float] = mapped_column(Float, server_default=text("0"))
    time_started: Mapped[datetime | None] = mapped_column(Timestamp)
    time_finished: Mapped[datetime | None] = mapped_column(Timestamp)


metadata = Table.metadata  # of all tables, those of app/db/records.py too

# The same tables for Core, which the stores write their SQL with.
jobqueues = metadata.tables["jobqueues"]
jobs = metadata.tables["jobs"]
job_progress = metadata.tables[Progress.__tablename__]
jobs_now = jobs_with(job_progress, jobs)
job_dependencies = metadata.tables["job_dependencies"]
agents = metadata.tables["agents"]
assignments = metadata.tables["assignments"]
tasks = metadata.tables["tasks"]
history = metadata.tables[History.__tablename__]
tokens = metadata.tables[Token.__tablename__]
sessions = metadata.tables[Session.__tablename__]
figures = metadata.tables[Figures.__tablename__]
