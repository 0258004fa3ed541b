"""What agents are told of jobs, kept while it fits: most jobs are given out many times."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.scheduler.schemas import AssignedJob

MOST_BYTES = 64_000_000


class Told:
    """The wire form of jobs by their ids; all are forgotten when they become too many."""

    def __init__(self) -> None:
        self._jobs: dict[int, AssignedJob] = {}
        self._sizes: dict[int, int] = {}
        self._bytes = 0

    def __getitem__(self, job_id: int) -> AssignedJob:
        return self._jobs[job_id]

    def title(self, job_id: int) -> str | None:
        """A job's title, while what is told of it is kept."""
        job = self._jobs.get(job_id)
        return None if job is None else job.title

    def missing(self, job_ids: Iterable[int]) -> list[int]:
        return [job_id for job_id in set(job_ids) if job_id not in self._jobs]

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows as the store gives them: `data` and `environ` as JSON text."""
        for row in rows:
            self.forget(row["id"])
            self._sizes[row["id"]] = len(row["data"]) + len(row["environ"])
            self._bytes += self._sizes[row["id"]]
            parsed = {"data": json.loads(row["data"]), "environ": json.loads(row["environ"])}
            self._jobs[row["id"]] = AssignedJob(**{**row, **parsed})

    def forget(self, job_id: int) -> None:
        if self._jobs.pop(job_id, None) is not None:
            self._bytes -= self._sizes.pop(job_id)

    def clear(self) -> None:
        self._jobs.clear()
        self._sizes.clear()
        self._bytes = 0

    def make_room(self) -> None:
        """To be called when nothing of it is needed just then."""
        if self._bytes > MOST_BYTES:
            self.clear()
