"""What a request makes of a farm: its changes, its workload, or all of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from app.fields import within
from app.ranges import MAX_DEPTH
from app.simulation.durations import Model
from app.simulation.picture import Picture, Place, Row
from app.simulation.schemas import (
    MAX_AGENTS,
    MAX_JOBS,
    MAX_QUEUES,
    Agents,
    Changes,
    EditedJob,
    EditedQueue,
    GivenFarm,
    LessAgents,
    Work,
)

ROOT = "/"
_QUEUE: Row = {
    "priority": 0,
    "weight": 10,
    "minimum_agents": None,
    "maximum_agents": None,
    "prefer_running_jobs": False,
    "paused": False,
}
_TURN = ("priority", "weight", "minimum_agents", "maximum_agents")
_QUEUE_FIELDS = (*_TURN, "prefer_running_jobs", "paused")
_JOB_FIELDS = (*_TURN, "paused")
_WORK_FIELDS = (*_TURN, "batch", "cpus", "ram", "required_tags", "excluded_tags")

# Ids of agents that are made up: no real one has the like.
_MADE_UP = 0xFA12 << 112


class Wrong(Exception):
    """The request names what is not there, or asks for what cannot be: each place, and why."""

    def __init__(self, errors: Sequence[tuple[Place, str]]) -> None:
        super().__init__(errors)
        self.errors = errors


class _Refused(Exception):
    """One entry of the request is wrong, in the field."""

    def __init__(self, message: str, *place: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


@dataclass
class Edits:
    """A picture that is being changed, entry by entry; what is wrong is collected."""

    picture: Picture
    spread: float  # of task times that are given without one
    errors: list[tuple[Place, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._queue_ids = count(max(self.picture.queues, default=0) + 1)
        self._job_ids = count(max(self.picture.jobs, default=0) + 1)
        self._agent_ids = count(len(self.picture.agents) + 1)
        # New ones by title and place; who wants to be told of jobs is told of these.
        self.new_jobs: list[int] = []

    def check(self) -> None:
        """Raise `Wrong` if anything was."""
        if self.errors:
            raise Wrong(self.errors)

    @contextmanager
    def _at(self, *place: str | int) -> Iterator[None]:
        try:
            yield
        except _Refused as refused:
            self.errors.append(((*place, *refused.place), refused.message))

    def make(self, farm: GivenFarm) -> None:
        """Fill an empty picture with a farm that is made up."""
        by_depth = sorted(enumerate(farm.queues), key=lambda one: one[1].queue.count("/"))
        for place, asked in by_depth:
            with self._at("farm", "queues", place):
                self._create(asked.queue, "queue", _sent(asked, _QUEUE_FIELDS))
        self.add_work(farm.jobs, "farm", "jobs")
        self._add_agents(farm.agents, "farm", "agents")

    def apply(self, changes: Changes) -> None:
        """Agents first: who works on what is as it was. Then queues and jobs, one by one."""
        for place, less in enumerate(changes.agents.remove):
            self._remove_agents(less, place)
        self._add_agents(changes.agents.add, "changes", "agents", "add")
        for place, queue in enumerate(changes.queues):
            with self._at("changes", "queues", place):
                self._edit_queue(queue)
        for place, job in enumerate(changes.jobs):
            with self._at("changes", "jobs", place):
                self._edit_job(job)

    # --- queues ---

    def _edit_queue(self, asked: EditedQueue) -> None:
        sent = _sent(asked, _QUEUE_FIELDS)
        if asked.create is not None:
            self._create(asked.create, "create", sent)
            return
        queue_id = self._edited(asked)
        row = self.picture.queues[queue_id]
        if asked.delete:
            self._delete(queue_id)
            return
        _check_limits(row | sent)
        if asked.parent is not None:
            self._move(row, asked.parent)
        row.update(sent)

    def _edited(self, asked: EditedQueue) -> int:
        if asked.queue is not None:
            return self._queue(asked.queue, "queue", or_root=False)
        assert asked.id is not None
        if asked.id not in self.picture.queues:
            raise _Refused(f"there is no queue with id {asked.id}", "id")
        return asked.id

    def _create(self, fullpath: str, named: str, sent: Row) -> None:
        above, _, name = fullpath.rstrip("/").rpartition("/")
        if not name:
            raise _Refused("must end with the name of the queue", named)
        if self.picture.queue_at(fullpath) is not None:
            raise _Refused(f"there is a queue {fullpath[:200]} already", named)
        if len(self.picture.queues) >= MAX_QUEUES:
            raise _Refused(f"a simulation has at most {MAX_QUEUES} queues", named)
        _check_depth(fullpath.count("/"), named)
        parent = self._queue(above or ROOT, named)
        _check_limits(_QUEUE | sent)
        self.picture.put_queue(
            {"id": next(self._queue_ids), "name": name, "parent_jobqueue_id": parent or None}
            | _QUEUE
            | sent
        )

    def _delete(self, queue_id: int) -> None:
        gone = self.picture.below(queue_id)
        jobs = self.picture.jobs.values()
        self.picture.drop_jobs([job["id"] for job in jobs if job["job_queue_id"] in gone])
        for one in gone:
            del self.picture.queues[one]
        self.picture.moved()

    def _move(self, row: Row, parent: str) -> None:
        parent_id = self._queue(parent, "parent")
        below = self.picture.below(row["id"])
        if parent_id and parent_id in below:
            raise _Refused("a queue cannot hang below itself", "parent")
        _check_depth(parent.rstrip("/").count("/") + 1 + max(below.values()), "parent")
        siblings = self.picture.queues.values()
        for other in siblings:
            same = other["name"] == row["name"] and other["id"] != row["id"]
            if same and other["parent_jobqueue_id"] == (parent_id or None):
                raise _Refused(f"there is a queue {row['name']!r} already", "parent")
        row["parent_jobqueue_id"] = parent_id or None
        self.picture.moved()

    def _queue(self, fullpath: str, named: str, *, or_root: bool = True) -> int:
        """The id of a queue that must be there; 0 for the root."""
        if fullpath == ROOT and or_root:
            return 0
        found = self.picture.queue_at(fullpath)
        if found is None:
            raise _Refused(f"there is no queue {fullpath[:200]}", named)
        return found

    # --- jobs ---

    def _edit_job(self, asked: EditedJob) -> None:
        row = self.picture.jobs.get(asked.id)
        if row is None:
            raise _Refused(f"there is no unfinished job with id {asked.id}", "id")
        if asked.delete:
            self.picture.drop_jobs([asked.id])
            return
        sent = _sent(asked, _JOB_FIELDS)
        _check_limits(row | sent)
        if asked.queue is not None:
            sent["job_queue_id"] = self._queue(asked.queue, "queue") or None
        row.update(sent)

    def add_work(self, works: Sequence[Work], *where: str) -> None:
        """Jobs that come in, of which some wait for earlier ones of the list."""
        made: list[list[int]] = []
        for place, work in enumerate(works):
            made.append([])
            with self._at(*where, place):
                if any(earlier >= place for earlier in work.after):
                    raise _Refused("must name earlier places of the list", "after")
                parents = [job_id for earlier in set(work.after) for job_id in made[earlier]]
                queue_id = self._queue(work.queue, "queue") or None
                if len(self.new_jobs) + work.count > MAX_JOBS:
                    raise _Refused(f"at most {MAX_JOBS} jobs come in", "count")
                made[place] = [
                    self._add_job(work, queue_id, parents, number) for number in range(work.count)
                ]

    def _add_job(self, work: Work, queue_id: int | None, parents: list[int], number: int) -> int:
        job_id = next(self._job_ids)
        row = {name: getattr(work, name) for name in _WORK_FIELDS}
        self.picture.jobs[job_id] = row | {
            "id": job_id,
            "title": work.title,
            "job_queue_id": queue_id,
            "paused": False,
            "frames": f"1-{work.tasks}",
            "by": Decimal(1),
            "num_tiles": 1,
            "batch_contiguous": True,
            "waiting": f"{{[0,{work.tasks})}}",
            "tasks_failed": 0,
            "parents": parents,
        }
        self.picture.arrivals[job_id] = work.at + number * work.every
        if work.seconds_per_task is not None:
            spread = self.spread if work.spread is None else work.spread
            self.picture.models[job_id] = Model.of(work.seconds_per_task, spread)
        self.new_jobs.append(job_id)
        return job_id

    # --- agents ---

    def _add_agents(self, more: Sequence[Agents], *where: str) -> None:
        for place, asked in enumerate(more):
            with self._at(*where, place):
                if len(self.picture.agents) + asked.count > MAX_AGENTS:
                    raise _Refused(f"a simulation has at most {MAX_AGENTS} agents", "count")
                tags = list(asked.tags)
                self.picture.agents += [
                    {
                        "id": UUID(int=_MADE_UP + next(self._agent_ids)),
                        "mode": "enabled",
                        "online": True,
                        "cpus": asked.cpus,
                        "free_ram": asked.ram,
                        "tags": tags,
                        "job_queue_id": None,
                        "assignment_id": None,
                        "job_id": None,
                    }
                    for _ in range(asked.count)
                ]

    def _remove_agents(self, less: LessAgents, place: int) -> None:
        """Idle ones first. What a busy one has under way waits again."""
        named = set(less.tags)
        able = [agent for agent in self.picture.agents if named <= set(agent["tags"])]
        with self._at("changes", "agents", "remove", place):
            if less.count is not None and less.count > len(able):
                raise _Refused(f"there are only {len(able)} such agents", "count")
        able.sort(key=lambda agent: agent["assignment_id"] is not None)
        self.picture.drop_agents(able[: less.count])


def _sent(asked: Any, fields: Sequence[str]) -> Row:
    return {name: getattr(asked, name) for name in fields if name in asked.model_fields_set}


def _check_depth(levels: int, named: str) -> None:
    if levels > MAX_DEPTH:
        raise _Refused(f"a tree has at most {MAX_DEPTH} levels: it would have {levels}", named)


def _check_limits(row: Row) -> None:
    try:
        within(row["minimum_agents"], row["maximum_agents"])
    except ValueError as wrong:
        raise _Refused(str(wrong), "maximum_agents") from None
