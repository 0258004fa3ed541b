"""What the database's rows are to the policy."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from app.policy.fit import Agent, Requirements
from app.policy.ordinals import Ordinals, Range, runs
from app.policy.tree import Job, Queue


def agent_of(row: Mapping[str, Any]) -> Agent:
    tags = _tags(tuple(row["tags"]))
    return Agent(row["id"], row["cpus"], row["free_ram"], tags, row["job_queue_id"])


@lru_cache(maxsize=1024)
def _tags(tags: tuple[str, ...]) -> frozenset[str]:
    """One for all agents that have the same: two of them are compared at once."""
    return frozenset(tags)


def queue_of(row: Mapping[str, Any]) -> Queue:
    made = Queue(id=row["id"])
    set_queue(made, row)
    return made


def set_queue(queue: Queue, row: Mapping[str, Any]) -> None:
    """Let the queue have the row's settings; where it hangs is not among them."""
    queue.priority = row["priority"]
    queue.weight = row["weight"]
    queue.minimum = row["minimum_agents"]
    queue.maximum = row["maximum_agents"]
    queue.paused = row["paused"]
    queue.prefer_running_jobs = row["prefer_running_jobs"]


def job_of(row: Mapping[str, Any], failed_by: dict[int, frozenset[UUID]]) -> Job:
    """A job without agents; they are counted where they are known."""
    return Job(
        id=row["id"],
        priority=row["priority"],
        weight=row["weight"],
        minimum=row["minimum_agents"],
        maximum=row["maximum_agents"],
        paused=row["paused"],
        frames=row["frames"],
        waiting=Ordinals(_ranges(row["waiting"])),
        num_tiles=row["num_tiles"],
        by=row["by"],
        batch=row["batch"],
        batch_contiguous=row["batch_contiguous"],
        parents_done=not row["parents"],
        requirements=_requirements(
            row["cpus"], row["ram"], tuple(row["required_tags"]), tuple(row["excluded_tags"])
        ),
        failed_by=failed_by,
    )


@lru_cache(maxsize=1024)
def _requirements(
    cpus: int, ram: int, required: tuple[str, ...], excluded: tuple[str, ...]
) -> Requirements:
    """One for all jobs that ask for the same."""
    return Requirements(cpus, ram, frozenset(required), frozenset(excluded))


def _ranges(multirange: str) -> list[Range]:
    """{[0,5),[7,9)} → (0, 5), (7, 9): as PostgreSQL writes every int4multirange."""
    if multirange == "{}":
        return []
    if multirange.count(",") == 1:  # most are whole
        first, _, end = multirange[2:-2].partition(",")
        return [(int(first), int(end))]
    ends = (part.split(",") for part in multirange[2:-2].split("),["))
    return [(int(first), int(end)) for first, end in ends]


def multirange(ordinals: Iterable[int]) -> str:
    """5 6 3 → {[3,4),[5,7)}."""
    ranges = (f"[{first},{end})" for first, end in runs(sorted(ordinals)))
    return "{" + ",".join(ranges) + "}"
