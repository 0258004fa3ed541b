"""A picture of a farm as the policy has it, ready to be played forward."""

from collections.abc import Callable

from app.policy.farm import Farm
from app.policy.forward import Forward, Progress
from app.policy.states import Mode
from app.policy.tree import Job, Queue, path
from app.scheduler.rows import agent_of, job_of, queue_of
from app.simulation.durations import Durations, Model
from app.simulation.picture import Picture


class Played:
    """A picture as the policy has it, ready to be played: nodes by their ids."""

    def __init__(
        self,
        picture: Picture,
        horizon: float,
        seed: int,
        otherwise: Model,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self.picture = picture
        self.horizon = horizon
        self.root = Queue(id=0)
        self.queues = {queue_id: queue_of(row) for queue_id, row in picture.queues.items()}
        self.jobs = {
            job_id: job_of(row, picture.failed.get(job_id, {}))
            for job_id, row in picture.jobs.items()
        }
        self._grow()
        online = [agent_of(row) for row in picture.agents if row["mode"] == Mode.ENABLED]
        self.farm = Farm(self.root, online)
        models = {job_id: picture.model_of(row) for job_id, row in picture.jobs.items()}
        known = {job_id: model for job_id, model in models.items() if model is not None}
        self.durations = Durations(seed, known, otherwise)
        self.forward = Forward(self.farm, self._progress(), self.durations, horizon, watch)
        self._people()
        self.forward.begin()

    def _grow(self) -> None:
        """The tree, with the agents that work now."""
        for queue_id, row in self.picture.queues.items():
            self.queue(row["parent_jobqueue_id"]).add(self.queues[queue_id])
        for job_id, row in self.picture.jobs.items():
            self.jobs[job_id].waiting.add(sorted(self.picture.given_back.get(job_id, ())))
            if job_id not in self.picture.arrivals:
                self.queue(row["job_queue_id"]).add(self.jobs[job_id])
        for row in self.picture.agents:
            for node in path(self.jobs[row["job_id"]]) if row["job_id"] is not None else ():
                node.assigned += 1

    def queue(self, queue_id: int | None) -> Queue:
        return self.root if queue_id is None else self.queues[queue_id]

    def _progress(self) -> dict[Job, Progress]:
        progress = {}
        for job_id, row in self.picture.jobs.items():
            waits_for = len(row["parents"] or ())
            failed = bool(row["tasks_failed"])
            progress[self.jobs[job_id]] = Progress(waits_for=waits_for, failed=failed)
        for job_id, row in self.picture.jobs.items():
            for parent_id in row["parents"] or ():
                if parent_id in self.jobs:  # else it failed, and is never done
                    progress[self.jobs[parent_id]].children.append(self.jobs[job_id])
        return progress

    def _people(self) -> None:
        """Agents, at work and idle, and the jobs that come later."""
        for row in self.picture.agents:
            enabled = row["mode"] == Mode.ENABLED
            if row["job_id"] is not None:
                job = self.jobs[row["job_id"]]
                left = self.durations.left(job, row["ordinals"], row["elapsed"])
                self.forward.works(agent_of(row), job, left, leaves=not enabled)
            elif enabled:
                self.forward.idle(agent_of(row))
        for job_id, at in self.picture.arrivals.items():
            queue = self.queue(self.picture.jobs[job_id]["job_queue_id"])
            self.forward.comes(at, self.jobs[job_id], queue)
