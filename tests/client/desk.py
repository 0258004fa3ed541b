"""Somebody at a command line, and what the service may answer there."""

from dataclasses import dataclass, field
from typing import Any

from typer.testing import CliRunner, Result

from farmqueue.cli.app import app
from tests.client.farm import Call, Farm, problem

Json = dict[str, Any]


@dataclass
class Desk:
    """Somebody at a command line, whose service gives the prepared answers."""

    farm: Farm = field(default_factory=Farm)

    def answers(self, key: str, answer: Any) -> None:
        self.farm.answers[key] = answer

    def refuses(self, key: str, status: int, code: str, **more: Any) -> None:
        self.farm.refuse[key] = problem(status, code, **more)

    def types(self, *words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, words, obj=self.farm.transport(), input=stdin)

    def asked(self, key: str) -> Call:
        """The one call of its kind."""
        [call] = self.farm.called(key)
        return call


def listed(*items: Json) -> Json:
    return {"items": list(items), "next": None}


def queue(**fields: Any) -> Json:
    return {
        "id": 3,
        "name": "hero",
        "fullpath": "/films/hero",
        "parent_jobqueue_id": 1,
        "priority": 0,
        "weight": 10,
        "minimum_agents": None,
        "maximum_agents": 8,
        "prefer_running_jobs": False,
        "paused": False,
        "assigned_agents": 2,
        **fields,
    }


def job(**fields: Any) -> Json:
    return {
        "id": 12,
        "title": "shot 010",
        "state": "running",
        "reason": None,
        "paused": False,
        "job_queue_id": 3,
        "queue": "/films/hero",
        "priority": 0,
        "weight": 10,
        "minimum_agents": None,
        "maximum_agents": None,
        "frames": "1-10",
        "batch": 1,
        "cpus": 1,
        "ram": 32,
        "required_tags": ["gpu"],
        "excluded_tags": [],
        "blocked_by": [],
        "assigned_agents": 2,
        "tasks": {"waiting": 5, "running": 2, "done": 3, "failed": 0},
        "time_submitted": "2026-11-24T03:00:00Z",
        "time_started": None,
        "time_finished": None,
        **fields,
    }


def task(**fields: Any) -> Json:
    return {
        "id": 99,
        "job_id": 12,
        "frame": 7,
        "tile": 0,
        "state": "failed",
        "attempts": 4,
        "failures": 4,
        "agent_id": None,
        "last_error": "exit code 1",
        "progress": 0.25,
        **fields,
    }


def agent(**fields: Any) -> Json:
    return {
        "id": "a1",
        "hostname": "node7",
        "port": None,
        "cpus": 8,
        "ram": 64000,
        "free_ram": 32000,
        "tags": ["gpu", "linux"],
        "version": "0.1.0",
        "state": "online",
        "assignment": None,
        **fields,
    }


def node(name: str, fullpath: str, *children: Json) -> Json:
    tasks = {"waiting": 5, "running": 1}
    return {**queue(name=name, fullpath=fullpath), "tasks": tasks, "children": list(children)}
