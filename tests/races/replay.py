"""The history played back: at every instant the rules must have held."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass
class Replay:
    """What the history has told so far; `AssertionError` at the first row that breaks a rule."""

    queues: dict[int, Row] = field(default_factory=dict)
    jobs: dict[int, Row] = field(default_factory=dict)
    active: dict[int, tuple[str, int]] = field(default_factory=dict)  # assignment: (agent, job)
    done: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    made: int = 0

    def play(self, rows: Iterable[Row]) -> None:
        for row in rows:
            handle = getattr(self, f"_{row['action'].replace('.', '_')}", None)
            if handle is not None:
                handle(row)

    def _jobqueue_created(self, row: Row) -> None:
        self.queues[row["job_queue_id"]] = dict(row["detail"])

    def _jobqueue_changed(self, row: Row) -> None:
        self.queues[row["job_queue_id"]] |= row["detail"]["to"]

    def _job_submitted(self, row: Row) -> None:
        self.jobs[row["job_id"]] = dict(row["detail"])

    def _job_changed(self, row: Row) -> None:
        self.jobs[row["job_id"]] |= row["detail"]["to"]

    def _assignment_made(self, row: Row) -> None:
        held = {agent for agent, _ in self.active.values()}
        assert row["agent_id"] not in held, f"a second assignment at once: {row}"
        for node, maximum in self._limits(row["job_id"]):
            assigned = sum(self._in_or_below(node, job) for _, job in self.active.values())
            assert maximum is None or assigned < maximum, f"over {maximum} at {node}: {row}"
        assert not self.done[row["job_id"]] & set(row["detail"]["tasks"]), f"done before: {row}"
        self.active[row["assignment_id"]] = (row["agent_id"], row["job_id"])
        self.made += 1

    def _assignment_reported(self, row: Row) -> None:
        assert row["assignment_id"] in self.active, f"a report after the end: {row}"
        done = set(row["detail"]["done"])
        assert not self.done[row["job_id"]] & done, f"a task done twice: {row}"
        self.done[row["job_id"]] |= done
        if row["detail"]["ended"]:
            del self.active[row["assignment_id"]]

    def _assignment_ended(self, row: Row) -> None:
        assert self.active.pop(row["assignment_id"], None), f"ended twice: {row}"

    def _limits(self, job_id: int) -> Iterable[tuple[tuple[str, int], int | None]]:
        """The job, its queue and every ancestor, each with the maximum in force."""
        job = self.jobs[job_id]
        yield ("job", job_id), job["maximum_agents"]
        for queue_id in self._above(job_id):
            yield ("queue", queue_id), self.queues[queue_id]["maximum_agents"]

    def _above(self, job_id: int) -> Iterable[int]:
        queue_id = self.jobs[job_id]["job_queue_id"]
        while queue_id is not None:
            yield queue_id
            queue_id = self.queues[queue_id]["parent_jobqueue_id"]

    def _in_or_below(self, node: tuple[str, int], job_id: int) -> bool:
        kind, node_id = node
        return node_id == job_id if kind == "job" else node_id in self._above(job_id)
