"""The shapes that travel between the farm and its clients, as typed dictionaries."""

from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

T = TypeVar("T")

JobState = Literal["queued", "paused", "running", "done", "failed"]
TaskState = Literal["waiting", "running", "done", "failed"]
AgentState = Literal["online", "offline", "draining", "disabled"]


class Page(TypedDict, Generic[T]):
    """Part of a list; `next` is the cursor of the following part, None at the end."""

    items: list[T]
    next: str | None


class QueueFields(TypedDict, total=False):
    """What can be said of a queue when it is made or changed."""

    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    prefer_running_jobs: bool
    paused: bool


class QueueChanges(QueueFields, total=False):
    """A change of a queue; `parent_jobqueue_id` or `parent` moves it, None to the top level."""

    name: str
    parent_jobqueue_id: int | None
    parent: str | None


class Queue(TypedDict):
    id: int
    name: str
    fullpath: str
    parent_jobqueue_id: int | None
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    prefer_running_jobs: bool
    paused: bool
    assigned_agents: int


class QueueBrief(TypedDict):
    id: int
    name: str
    fullpath: str


class JobBrief(TypedDict):
    id: int
    title: str


class QueueDetails(Queue):
    """A queue with the first 100 of its children and jobs, and how many there are in all."""

    parent: QueueBrief | None
    children: list[QueueBrief]
    children_total: int
    jobs: list[JobBrief]
    jobs_total: int


class TaskTotals(TypedDict):
    waiting: int
    running: int


class QueueNode(TypedDict):
    """A queue and all below it; the root's id is None, its fullpath "/"."""

    id: int | None
    name: str
    fullpath: str
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    prefer_running_jobs: bool
    paused: bool
    assigned_agents: int
    entitled_agents: NotRequired[int | None]
    tasks: TaskTotals
    children: list["QueueNode"]


class TaskCounts(TypedDict):
    waiting: int
    running: int
    done: int
    failed: int


class JobSettings(TypedDict, total=False):
    """What can be said of a job at any time; memory in MB."""

    job_queue_id: int | None
    queue: str | None
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    batch: int
    batch_contiguous: bool
    requeue: int
    cpus: int
    ram: int
    required_tags: list[str]
    excluded_tags: list[str]
    environ: dict[str, str]
    data: Any


class JobChanges(JobSettings, total=False):
    """A change of a job."""

    title: str


class JobFields(JobSettings, total=False):
    """What can be said of a job when it is submitted, beside its title."""

    start: float
    end: float
    by: float
    frames: str
    num_tiles: int
    parents: list[int]
    paused: bool


class BlockingJob(TypedDict):
    """A parent that is not done."""

    id: int
    title: str
    state: JobState


class Spread(TypedDict):
    """Moments: in 8 of 10 cases it lies between the first and the last."""

    p10: str
    p50: str
    p90: str


class Estimate(TypedDict):
    """When an agent next begins with a job, and when it is over; None: not known."""

    as_of: str
    start: Spread | None
    finish: Spread | None


class Job(TypedDict):
    id: int
    title: str
    state: JobState
    reason: str | None
    paused: bool
    job_queue_id: int | None
    queue: str | None
    priority: int
    weight: int
    minimum_agents: int | None
    maximum_agents: int | None
    start: float
    end: float
    by: float
    frames: str
    num_tiles: int
    batch: int
    batch_contiguous: bool
    requeue: int
    cpus: int
    ram: int
    required_tags: list[str]
    excluded_tags: list[str]
    parents: list[int]
    blocked_by: list[BlockingJob]
    environ: dict[str, str]
    data: Any
    assigned_agents: int
    tasks: TaskCounts
    time_submitted: str
    time_started: str | None
    time_finished: str | None
    position: NotRequired[int | None]
    estimate: NotRequired[Estimate | None]


class SubmittedJobs(TypedDict):
    """Jobs that were submitted together, in the order given."""

    items: list[Job]


class Task(TypedDict):
    id: int
    job_id: int
    frame: float
    tile: int
    state: TaskState
    attempts: int
    failures: int
    lost_leases: int
    agent_id: str | None
    last_error: str | None
    progress: float
    time_started: str | None
    time_finished: str | None


class AgentFields(TypedDict, total=False):
    """What an agent says of itself; memory in MB."""

    id: str
    port: int | None
    cpus: int
    ram: int
    free_ram: int
    tags: list[str]
    version: str


class AgentChanges(TypedDict, total=False):
    """What an operator, or the agent itself, changes of an agent."""

    state: AgentState
    cpus: int
    ram: int
    free_ram: int
    tags: list[str]
    version: str | None


class AssignedJob(TypedDict):
    """What an agent gets to know of the job it works on."""

    id: int
    title: str
    data: Any
    environ: dict[str, str]
    cpus: int
    ram: int
    batch: int
    queue: str | None


class AssignedTask(TypedDict):
    id: int
    frame: float
    tile: int
    attempt: int


class Assignment(TypedDict):
    """Work: the tasks of one job that one agent holds until its lease runs out."""

    id: int
    agent_id: str
    lease_expires_at: str
    heartbeat_seconds: float
    lease_seconds: float
    job: AssignedJob
    tasks: list[AssignedTask]


class AssignmentBrief(TypedDict):
    """What an agent works on, as others see it."""

    id: int
    job_id: int
    title: str
    task_ids: list[int]
    started_at: str


class Agent(TypedDict):
    id: str
    hostname: str
    port: int | None
    cpus: int
    ram: int
    free_ram: int
    tags: list[str]
    version: str | None
    state: AgentState
    last_seen: str
    lease_expires_at: str | None
    time_registered: str
    joined_with: int | None
    job_queue_id: int | None
    assignment: AssignmentBrief | None


class RegisteredAgent(Agent):
    """An agent as it is told itself; `token` is its own from now on, where it came with one."""

    heartbeat_seconds: float
    token: NotRequired[str | None]
    token_seconds: NotRequired[float | None]


class Heartbeat(TypedDict):
    """The answer to a sign of life: how soon to call again, and which assignments to stop."""

    heartbeat_seconds: float
    lease_seconds: float
    lease_expires_at: str | None
    state: AgentState
    stop: list[int]


class Result(TypedDict):
    """What became of a task; `progress` from 0 to 1."""

    task_id: int
    state: Literal["running", "done", "failed"]
    progress: NotRequired[float]
    error: NotRequired[str]


class Event(TypedDict):
    """One line of the history: who did what to what, when."""

    id: int
    at: str
    actor: str
    action: str
    job_queue_id: int | None
    job_id: int | None
    agent_id: str | None
    assignment_id: int | None
    detail: Any
