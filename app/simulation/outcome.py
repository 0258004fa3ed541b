"""What became of a farm that was played, as it is told."""

from collections import defaultdict
from typing import Any

from app.policy.forward import Shortage
from app.policy.tree import Job, Queue, path
from app.simulation.course import Course
from app.simulation.play import Played

Node = Queue | Job


class Totals:
    """Of each queue, the root among them: agent seconds, tasks that are left, its last finish."""

    def __init__(self, played: Played) -> None:
        self.agent_seconds: dict[Node, float] = defaultdict(float)
        self.left: dict[Node, int] = defaultdict(int)
        self.finish: dict[Node, float] = {}
        for job_id, job in played.jobs.items():
            progress = played.forward.progress[job]
            queue = played.queue(played.picture.jobs[job_id]["job_queue_id"])
            for node in path(queue):
                self.agent_seconds[node] += progress.agent_seconds
                self.left[node] += len(job.waiting) + job.assigned
                if progress.finished_at is not None:
                    self.finish[node] = max(self.finish.get(node, 0.0), progress.finished_at)


def outcome(course: Course, queues: dict[str, int], jobs: list[int]) -> dict[str, Any]:
    """Of the queues, by fullpath, and the jobs that are still in the picture."""
    played = course.played
    totals = Totals(played)
    here = {path: one for path, one in queues.items() if one in played.queues}
    return {
        "agents": len(played.farm.online),
        "assignments": played.forward.given,
        "mean_working_agents": _mean(totals.agent_seconds[played.root], played),
        "finish_seconds": _finish(totals, played.root),
        "queues": [
            _queue(course, fullpath, played.queues[queue_id], totals)
            for fullpath, queue_id in here.items()
        ],
        "jobs": [_job(played, job_id) for job_id in jobs if job_id in played.jobs],
        "series": {
            "seconds": course.times,
            "working_agents": course.working,
            "queues": course.series,
        },
    }


def _queue(course: Course, fullpath: str, queue: Queue, totals: Totals) -> dict[str, Any]:
    played = course.played
    forward = played.forward
    due, had = course.entitled[queue], course.had[queue]
    short = forward.shortages.get(queue, Shortage())
    return {
        "id": queue.id,
        "queue": fullpath,
        "minimum_agents": queue.minimum,
        "maximum_agents": queue.maximum,
        "agents_now": course.now.get(queue, 0),
        "entitled_now": course.entitled_now.get(queue, 0),
        "mean_agents": _mean(totals.agent_seconds[queue], played),
        "peak_agents": forward.peaks.get(queue, 0),
        "entitled_agents": round(due / course.looks, 2),
        "share_of_entitlement": round(had / due, 4) if due else None,
        "seconds_below_minimum": round(short.until(played.horizon), 3),
        "finish_seconds": _finish(totals, queue),
        "tasks_left": totals.left[queue],
    }


def _job(played: Played, job_id: int) -> dict[str, Any]:
    job, row = played.jobs[job_id], played.picture.jobs[job_id]
    progress = played.forward.progress[job]
    return {
        "id": job_id,
        "title": row["title"],
        "queue": played.picture.fullpath(row["job_queue_id"]),
        "submitted_seconds": played.picture.arrivals.get(job_id),
        "next_agent_seconds": _rounded(progress.next_at),
        "assignments_ahead": progress.ahead,
        "finish_seconds": _rounded(progress.finished_at),
        "mean_agents": _mean(progress.agent_seconds, played),
        "peak_agents": played.forward.peaks.get(job, 0),
        "tasks_left": len(job.waiting) + job.assigned,
    }


def _finish(totals: Totals, queue: Queue) -> float | None:
    """When the last of its jobs was over, if nothing is left."""
    return None if totals.left[queue] else _rounded(totals.finish.get(queue))


def _mean(agent_seconds: float, played: Played) -> float:
    return round(agent_seconds / played.horizon, 2)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
