"""Every call of the service, described once: what is sent, and what comes back.

A call does nothing by itself; `Client.send` and `AsyncClient.send` carry it out. Fields given as
None are left out where None means "no filter", and sent where None means "no limit".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar, Unpack
from urllib.parse import quote
from uuid import uuid4

from farmqueue.explained import Explanation
from farmqueue.model import (
    Agent,
    AgentChanges,
    AgentFields,
    AgentState,
    Assignment,
    Event,
    Heartbeat,
    Job,
    JobChanges,
    JobFields,
    JobState,
    Page,
    Queue,
    QueueChanges,
    QueueDetails,
    QueueFields,
    QueueNode,
    RegisteredAgent,
    Result,
    SubmittedJobs,
    Task,
    TaskState,
)
from farmqueue.planned import Plan
from farmqueue.tokens import NewToken, Token, TokenFields

T = TypeVar("T")

Json = dict[str, Any]

# A plan of a large tree may take so many seconds, beside the time of any other call.
LONG = 90.0


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request; `T` types its decoded answer, `patience` is how many seconds it may be held."""

    method: str
    path: str
    params: Mapping[str, str | int] | None = None
    body: Any = None
    patience: float = 0.0
    headers: Mapping[str, str] | None = None

    def after(self, cursor: str) -> "Call[T]":
        """The same list from the given cursor on."""
        return replace(self, params={**(self.params or {}), "cursor": cursor})


# --- queues ---


def create_queue(
    name: str, *, parent: str | None = None, **fields: Unpack[QueueFields]
) -> Call[Queue]:
    """Make a queue, under the queue with the fullpath `parent` or at the top level."""
    body: Json = {"name": name, **fields}
    if parent is not None:
        body["parent"] = parent
    return Call("POST", "/jobqueues", body=body)


def queues(
    *,
    fullpath: str | None = None,
    name: str | None = None,
    parent_jobqueue_id: int | Literal["null"] | None = None,
) -> Call[Page[Queue]]:
    """The queues, by id; `parent_jobqueue_id="null"`: those of the top level."""
    return Call(
        "GET",
        "/jobqueues",
        _given(fullpath=fullpath, name=name, parent_jobqueue_id=parent_jobqueue_id),
    )


def queue(queue_id: int) -> Call[QueueDetails]:
    """A queue with its parent, children and jobs."""
    return Call("GET", f"/jobqueues/{queue_id}")


def tree(root: int | None = None) -> Call[QueueNode]:
    """The whole tree, or the queue `root` and all below, with assigned agents and tasks."""
    return Call("GET", "/jobqueues/tree", _given(root=root))


def change_queue(queue_id: int, **changes: Unpack[QueueChanges]) -> Call[Queue]:
    """Change, rename or move a queue."""
    return Call("PATCH", f"/jobqueues/{queue_id}", body=changes)


def delete_queue(queue_id: int) -> Call[None]:
    """Delete a queue that has neither children nor jobs."""
    return Call("DELETE", f"/jobqueues/{queue_id}")


def plan_queues(
    file: Mapping[str, Any], *, delete: bool = False, agents: int | None = None
) -> Call[Plan]:
    """What is different between a file (as JSON) and the tree; `agents` are shared out."""
    params = _given(delete=_word(delete), agents=agents)
    return Call("POST", "/jobqueues/plan", params, file, patience=LONG)


def apply_queues(
    file: Mapping[str, Any], *, delete: bool = False, fingerprint: str | None = None
) -> Call[Plan]:
    """Make the tree as a file says; with the `fingerprint` of a plan just that, or nothing."""
    params = _given(delete=_word(delete), fingerprint=fingerprint)
    return Call("POST", "/jobqueues/apply", params, file, patience=LONG)


# --- jobs ---


def submit(title: str, **fields: Unpack[JobFields]) -> Call[Job]:
    """Submit a job."""
    return Call("POST", "/jobs", body={"title": title, **fields}, headers=_key())


def submit_all(jobs: Sequence[Mapping[str, Any]]) -> Call[SubmittedJobs]:
    """Submit up to 1,000 jobs (`title` and the fields of `submit` each): all of them or none.

    A job may wait for earlier ones: `after` holds their places in the list, from 0.
    """
    return Call("POST", "/jobs/batch", body={"jobs": list(jobs)}, headers=_key())


def jobs(
    *,
    state: JobState | None = None,
    queue: str | None = None,
    job_queue_id: int | Literal["null"] | None = None,
) -> Call[Page[Job]]:
    """The jobs, by id."""
    return Call("GET", "/jobs", _given(state=state, queue=queue, job_queue_id=job_queue_id))


def job(job_id: int) -> Call[Job]:
    """A job."""
    return Call("GET", f"/jobs/{job_id}")


def change_job(job_id: int, **changes: Unpack[JobChanges]) -> Call[Job]:
    """Change a job."""
    return Call("PATCH", f"/jobs/{job_id}", body=changes)


def delete_job(job_id: int) -> Call[None]:
    """Delete a job; what runs of it is taken back."""
    return Call("DELETE", f"/jobs/{job_id}")


def pause_job(job_id: int, *, stop: bool = False) -> Call[Job]:
    """Give out nothing more of a job; with `stop`, take back what runs as well."""
    return Call("POST", f"/jobs/{job_id}/pause", body={"stop": stop})


def resume_job(job_id: int) -> Call[Job]:
    """Let a paused job go on."""
    return Call("POST", f"/jobs/{job_id}/resume")


def rerun_job(job_id: int) -> Call[Job]:
    """Do all tasks of a job again, but for those that run now."""
    return Call("POST", f"/jobs/{job_id}/rerun")


def rerun_failed(job_id: int) -> Call[Job]:
    """Do the failed tasks of a job again."""
    return Call("POST", f"/jobs/{job_id}/rerun-failed")


def tasks(job_id: int, *, state: TaskState | None = None) -> Call[Page[Task]]:
    """The tasks of a job, in order of frame, then tile; there may be a million."""
    return Call("GET", f"/jobs/{job_id}/tasks", _given(state=state, limit=1_000))


def task(task_id: int) -> Call[Task]:
    """A task."""
    return Call("GET", f"/tasks/{task_id}")


# --- agents and work ---


def register(hostname: str, **fields: Unpack[AgentFields]) -> Call[RegisteredAgent]:
    """Make an agent known; the answer's `id`, and `token`, are those to use from then on."""
    return Call("POST", "/agents", body={"hostname": hostname, **fields})


def agents(*, state: AgentState | None = None, hostname: str | None = None) -> Call[Page[Agent]]:
    """The agents, by id."""
    return Call("GET", "/agents", _given(state=state, hostname=hostname))


def agent(agent_id: str) -> Call[Agent]:
    """An agent, and what it works on."""
    return Call("GET", f"/agents/{quote(agent_id, safe='')}")


def change_agent(agent_id: str, **changes: Unpack[AgentChanges]) -> Call[Agent]:
    """Change an agent: `disabled` and `offline` take its work back, `draining` lets it finish."""
    return Call("PATCH", f"/agents/{quote(agent_id, safe='')}", body=changes)


def delete_agent(agent_id: str) -> Call[None]:
    """Forget an agent; its work waits again."""
    return Call("DELETE", f"/agents/{quote(agent_id, safe='')}")


def heartbeat(
    agent_id: str, *, free_ram: int | None = None, assignment_id: int | None = None
) -> Call[Heartbeat]:
    """Give a sign of life, which renews the lease of what the agent holds."""
    body = _given(free_ram=free_ram, assignment_id=assignment_id)
    return Call("POST", f"/agents/{quote(agent_id, safe='')}/heartbeat", body=body)


def assign(
    agent_id: str,
    *,
    wait: float = 0,
    free_ram: int | None = None,
    results: Sequence[Result] = (),
    assignment_id: int | None = None,
) -> Call[Assignment | None]:
    """Ask for work, None when there is none within `wait` seconds.

    `results` report the tasks of the assignment `assignment_id` in the same round trip.
    """
    body: Json = {"agent_id": agent_id, "wait": wait, **_given(free_ram=free_ram)}
    if results:
        body |= {"results": list(results), "assignment_id": assignment_id}
    return Call("POST", "/assign", body=body, patience=wait)


def report(assignment_id: int, results: Sequence[Result]) -> Call[Json | None]:
    """Say what became of tasks; `Conflict` once the assignment has ended."""
    return Call("POST", f"/assignments/{assignment_id}/results", body={"results": list(results)})


def release(assignment_id: int) -> Call[Json | None]:
    """Give the unfinished tasks of an assignment back."""
    return Call("POST", f"/assignments/{assignment_id}/release")


# --- why ---


def why_job(job_id: int, *, agent_id: str | None = None) -> Call[Explanation]:
    """Why a job does not run, or not on this agent."""
    return Call("GET", f"/jobs/{job_id}/explain", _given(agent_id=agent_id))


def why_queue(queue_id: int, *, agent_id: str | None = None) -> Call[Explanation]:
    """Why a queue gets no agent, or not this one."""
    return Call("GET", f"/jobqueues/{queue_id}/explain", _given(agent_id=agent_id))


def why_agent(agent_id: str) -> Call[Explanation]:
    """Why an agent is idle, or what it would get."""
    return Call("GET", f"/agents/{quote(agent_id, safe='')}/explain")


def why_assignment(assignment_id: int) -> Call[Explanation]:
    """Why an assignment was made."""
    return Call("GET", f"/assignments/{assignment_id}/explain")


# --- tokens ---


def create_token(role: str, name: str, **fields: Unpack[TokenFields]) -> Call[NewToken]:
    """Make a token; the answer shows it this once."""
    return Call("POST", "/tokens", body={"role": role, "name": name, **fields})


def tokens(*, role: str | None = None) -> Call[Page[Token]]:
    """The tokens, by id."""
    return Call("GET", "/tokens", _given(role=role))


def revoke_token(token_id: int) -> Call[None]:
    """End a token at once."""
    return Call("DELETE", f"/tokens/{token_id}")


# --- service ---


def history(
    *,
    job_id: int | None = None,
    job_queue_id: int | None = None,
    agent_id: str | None = None,
    assignment_id: int | None = None,
) -> Call[Page[Event]]:
    """Who did what, in the order in which it happened."""
    filters = _given(
        job_id=job_id, job_queue_id=job_queue_id, agent_id=agent_id, assignment_id=assignment_id
    )
    return Call("GET", "/history", filters)


def simulate(request: Mapping[str, Any]) -> Call[Json]:
    """What if: the farm played forward; `request` as the service's document has it."""
    return Call("POST", "/simulate", body=dict(request), patience=60)


def ready() -> Call[Json]:
    """Whether the service can work; `Unavailable` says why not."""
    return Call("GET", "/readyz")


def _given(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value is not None}


def _word(asked: bool) -> str | None:
    """For a query, where false is said by nothing."""
    return "true" if asked else None


def _key() -> dict[str, str]:
    """A header of its own for each call, by which the service knows it again."""
    return {"Idempotency-Key": str(uuid4())}
