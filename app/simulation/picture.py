"""A farm as rows, live or made up: what is simulated, and what a request may change in it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.simulation.durations import Model

Row = dict[str, Any]
Place = tuple[int | str, ...]


@dataclass(slots=True)
class Picture:
    """Rows as the scheduler's statements give them, queues and jobs by id, a parent queue first.

    An agent's row has as well `elapsed`, the seconds that it works on what it holds. `models` are
    measured task times by the job's id, `queue_models` by the queue's, `any_model` of all that was
    measured. `at` is when a live farm was read, in seconds of the epoch. `arrivals` says when jobs
    come that are not there yet, `given_back` which tasks wait again beside those of the job's row.
    """

    queues: dict[int, Row] = field(default_factory=dict)
    jobs: dict[int, Row] = field(default_factory=dict)
    agents: list[Row] = field(default_factory=list)
    failed: dict[int, dict[int, frozenset[UUID]]] = field(default_factory=dict)
    models: dict[int, Model] = field(default_factory=dict)
    queue_models: dict[int | None, Model] = field(default_factory=dict)
    arrivals: dict[int, float] = field(default_factory=dict)
    given_back: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    any_model: Model | None = None
    at: float = 0.0
    _paths: dict[str, int] | None = None

    def copy(self) -> "Picture":
        """Another one, whose rows may be changed."""
        return Picture(
            {queue_id: dict(row) for queue_id, row in self.queues.items()},
            {job_id: dict(row) for job_id, row in self.jobs.items()},
            [dict(row) for row in self.agents],
            self.failed,
            dict(self.models),
            self.queue_models,
            dict(self.arrivals),
            defaultdict(list, {job_id: [*some] for job_id, some in self.given_back.items()}),
            self.any_model,
            self.at,
        )

    def learn_from(self, other: "Picture") -> None:
        """Take over what was measured, beside the task times that this one was given."""
        self.models = other.models | self.models
        self.queue_models, self.any_model = other.queue_models, other.any_model

    def fullpath(self, queue_id: int | None) -> str:
        names: list[str] = []
        while queue_id is not None:
            row = self.queues[queue_id]
            names.append(row["name"])
            queue_id = row["parent_jobqueue_id"]
        return "/" + "/".join(reversed(names))

    def queue_at(self, fullpath: str) -> int | None:
        """The id of the queue of this path; None where there is none."""
        if self._paths is None:
            self._paths = {self.fullpath(queue_id): queue_id for queue_id in self.queues}
        return self._paths.get(fullpath.rstrip("/"))

    def moved(self) -> None:
        """Some fullpaths are others by now."""
        self._paths = None

    def put_queue(self, row: Row) -> None:
        """A new queue, below one that is there."""
        self.queues[row["id"]] = row
        if self._paths is not None:
            self._paths[self.fullpath(row["id"])] = row["id"]

    def below(self, queue_id: int) -> dict[int, int]:
        """The queue, and all below it: how many levels each is below it."""
        children: dict[int | None, list[int]] = defaultdict(list)
        for row in self.queues.values():
            children[row["parent_jobqueue_id"]].append(row["id"])
        found, rest = {queue_id: 0}, [queue_id]
        while rest:
            one = rest.pop()
            found.update(dict.fromkeys(children[one], found[one] + 1))
            rest.extend(children[one])
        return found

    def drop_jobs(self, job_ids: Iterable[int]) -> None:
        """Take jobs away: who works on them is idle, who waits for them does so no more."""
        gone = set(job_ids)
        if not gone:
            return
        for job_id in gone:
            del self.jobs[job_id]
            self.arrivals.pop(job_id, None)
        for row in self.jobs.values():
            if row["parents"] and not gone.isdisjoint(row["parents"]):
                row["parents"] = [one for one in row["parents"] if one not in gone]
        for agent in self.agents:
            if agent["job_id"] in gone:
                agent["assignment_id"] = agent["job_id"] = None

    def drop_agents(self, gone: Iterable[Row]) -> None:
        """Take agents away: what they had under way waits again."""
        ids = set()
        for agent in gone:
            ids.add(agent["id"])
            if agent["job_id"] is not None:
                over = {*agent["done"], *agent["failed"]}
                self.given_back[agent["job_id"]] += [
                    ordinal for ordinal in agent["ordinals"] if ordinal not in over
                ]
        self.agents = [agent for agent in self.agents if agent["id"] not in ids]

    def model_of(self, job: Row) -> Model | None:
        """Its own task times, else those of its queue."""
        return self.models.get(job["id"]) or self.queue_models.get(job["job_queue_id"])
