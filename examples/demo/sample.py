"""A sample farm such as `examples/farm.json`: its tree of queues and its jobs."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from farmqueue.client import Client
from farmqueue.model import Job

PROJECT = Path(__file__).parent.parent.parent
FARM = PROJECT / "examples" / "farm.json"
_MARK = "farmqueue demo"  # in the data of the jobs that the demo submits


@dataclass(frozen=True)
class Sample:
    """Queues as (fullpath of the parent or None, fields), parents first; jobs, earlier first."""

    queues: list[tuple[str | None, dict[str, Any]]]
    jobs: list[dict[str, Any]]

    @classmethod
    def load(cls, path: Path, result: Path) -> "Sample":
        """The sample with `$RESULT` and `$PYTHON` filled in."""
        farm = json.loads(path.read_text(encoding="utf-8"))
        words = {"RESULT": _literal(str(result)), "PYTHON": _literal(sys.executable)}
        jobs = [_runnable(job, words) for job in farm["jobs"]]
        return cls(list(_flat(farm["queues"], None)), jobs)


def apply_tree(client: Client, queues: Iterable[tuple[str | None, dict[str, Any]]]) -> None:
    """Make the queues that are missing, and set the others to what the sample says."""
    for parent, fields in queues:
        settings = {name: value for name, value in fields.items() if name != "name"}
        fullpath = f"{parent or ''}/{fields['name']}"
        there = next(client.queues(fullpath=fullpath), None)
        if there is None:
            client.create_queue(fields["name"], parent=parent, **settings)
        else:
            client.change_queue(there["id"], **settings)


def submit_jobs(client: Client, jobs: Iterable[dict[str, Any]]) -> list[int]:
    """Submit the jobs; `after` names earlier ones by their titles. The ids, in the same order."""
    ids: dict[str, int] = {}
    for job in jobs:
        fields = {name: value for name, value in job.items() if name not in {"title", "after"}}
        parents = [ids[title] for title in job.get("after", ())]
        ids[job["title"]] = client.submit(job["title"], parents=parents, **fields)["id"]
    return list(ids.values())


def withdraw_leftovers(client: Client) -> None:
    """Delete what an interrupted demo left: it would write where this one does."""
    unfinished = [job for job in client.jobs() if job["state"] not in {"done", "failed"}]
    for job in filter(_is_ours, unfinished):
        client.delete_job(job["id"])


def _is_ours(job: Job) -> bool:
    data = job["data"]
    return isinstance(data, dict) and data.get("submitted_by") == _MARK


def _runnable(job: dict[str, Any], words: dict[str, str]) -> dict[str, Any]:
    fields = dict(job)
    command = [Template(word).substitute(words) for word in fields.pop("command")]
    data = {"command": command, "per": "batch", "cwd": str(PROJECT), "submitted_by": _MARK}
    return {**fields, "data": data}


def _literal(word: str) -> str:
    """A word whose braces are no placeholders of the agent's."""
    return word.replace("{", "{{").replace("}", "}}")


def _flat(queues: list[Any], parent: str | None) -> Iterator[tuple[str | None, dict[str, Any]]]:
    for queue in queues:
        yield parent, {name: value for name, value in queue.items() if name != "children"}
        yield from _flat(queue.get("children", []), f"{parent or ''}/{queue['name']}")
