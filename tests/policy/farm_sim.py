"""A farm in memory that decides with the policy alone: rows of its own, and one tree, kept.

It stands where the service and its database stand, so that whole histories can be played on the
policy: it keeps settings, tasks and assignments, lets the policy say what becomes of them, and
changes the policy's farm step by step as they change.
"""

from app.policy.pick import assign
from app.policy.states import Held, JobState, Said, TaskState, Verdict, after_failure, judge
from app.policy.tree import Job, Queue
from tests.policy.rows import HeldWork, Row, Rows, job_fields, job_rows, queue_fields, uuid_of

Pick = tuple[int, list[int]] | None
# What a node cannot change where it stands: it is cut and hung again.
OF_THE_PLACE = {"parent"}
OF_THE_KIND = {"cpus", "ram", "required_tags", "excluded_tags"}


class FarmSim:
    """Built from a scenario's lists; queues and jobs go by ids that count from 1 in their order."""

    def __init__(self, queues: list[Row], jobs: list[Row], agents: list[Row]) -> None:
        self.rows = Rows(queues, jobs, agents)
        self.farm = self.rows.farm()
        self.queues: dict[int | None, Queue] = {None: self.farm.root}
        self.jobs: dict[int, Job] = {}
        self._know(self.farm.root)

    def _know(self, queue: Queue) -> None:
        for child in queue.children:
            if isinstance(child, Queue):
                self.queues[child.id] = child
                self._know(child)
            else:
                self.jobs[child.id] = child

    def state(self, number: int) -> JobState:
        return self.rows.state(number)

    # --- agents work ---

    def poll(self, *hostnames: str) -> list[Pick]:
        """Serve the agents in turn."""
        for hostname in hostnames:
            if hostname in self.rows.held:
                continue
            if work := assign(self.farm, self.rows.agent(hostname)):
                job, ordinals = work
                self.rows.held[hostname] = HeldWork(job.id, ordinals)
                self._let(job.id, ordinals, TaskState.RUNNING)
        return [self._holds(hostname) for hostname in hostnames]

    def report(self, hostname: str, results: list[bool]) -> None:
        """The next tasks that the agent holds succeeded or failed; too many results are ignored."""
        held = self.rows.held.get(hostname)
        if held is None:
            return
        for ordinal, succeeded in zip(held.unfinished, results, strict=False):
            said = Said.DONE if succeeded else Said.FAILED
            found = Held(held.ordinals, held.done, held.failed, ended=False)
            assert judge(found, ordinal, said) is Verdict.COUNT
            self._count(held, ordinal, said, hostname)
        if held.unfinished:
            self.farm.settle(self.jobs[held.job])
        else:
            self._free(hostname)
        self._tell_who_waits_for(held.job)

    def finish(self, hostname: str) -> None:
        if hostname in self.rows.held:
            self.report(hostname, [True] * len(self.rows.held[hostname].unfinished))

    def release(self, hostname: str) -> None:
        if hostname in self.rows.held:
            held = self.rows.held[hostname]
            self._let(held.job, held.unfinished, TaskState.WAITING)
            self.jobs[held.job].waiting.add(held.unfinished)
            self._free(hostname)

    def leave(self, hostname: str) -> None:
        self.release(hostname)
        self.change_agent(hostname, {"online": False})

    def change_agent(self, hostname: str, changes: Row) -> None:
        row = self.rows.agents[hostname]
        row.update(changes)
        if row["online"]:
            self.farm.online[uuid_of(hostname)] = self.rows.agent(hostname)
        else:
            self.farm.online.pop(uuid_of(hostname), None)

    # --- people change the tree ---

    def change_queue(self, number: int, changes: Row) -> None:
        row, queue = self.rows.queues[number], self.queues[number]
        row.update(changes)
        self._change(
            queue, queue_fields(row), row["parent"], again=bool(changes.keys() & OF_THE_PLACE)
        )
        if "prefer_running_jobs" in changes:
            self.farm.settle_below(queue)

    def change_job(self, number: int, changes: Row) -> None:
        row, job = self.rows.jobs[number].settings, self.jobs[number]
        row.update(changes)
        elsewhere = changes.keys() & (OF_THE_PLACE | OF_THE_KIND)
        self._change(job, job_fields(row), row["parent"], again=bool(elsewhere))

    def create_queue(self, number: int, row: Row) -> None:
        self.rows.queues[number] = dict(row)
        self.queues[number] = self.rows.queue(number)
        self.farm.hang(self.queues[number], self.queues[row["parent"]])

    def create_job(self, number: int, row: Row) -> None:
        self.rows.jobs[number] = job_rows(row | {"parents": list(row["parents"])})
        self.jobs[number] = self.rows.job(number)
        self.farm.hang(self.jobs[number], self.queues[row["parent"]])

    def delete_queue(self, number: int) -> None:
        """One that is empty."""
        self.farm.cut(self.queues.pop(number))
        del self.rows.queues[number]

    def delete_job(self, number: int) -> None:
        """One that nobody works on; no job waits for it any more."""
        self.farm.cut(self.jobs.pop(number))
        del self.rows.jobs[number]
        for other, rows in self.rows.jobs.items():
            if number in rows.settings["parents"]:
                rows.settings["parents"].remove(number)
                self._look_at_parents(other)

    def run_again(self, number: int) -> None:
        """All that is done of a job that nobody works on waits again."""
        done = self.rows.jobs[number].ordinals(TaskState.DONE)
        self._let(number, done, TaskState.WAITING)
        self.jobs[number].waiting.add(done)
        self.farm.settle(self.jobs[number])
        self._tell_who_waits_for(number)

    # --- what follows ---

    def _holds(self, hostname: str) -> Pick:
        held = self.rows.held.get(hostname)
        return (held.job, held.ordinals) if held else None

    def _let(self, job: int, ordinals: list[int], state: TaskState) -> None:
        for ordinal in ordinals:
            self.rows.jobs[job].states[ordinal] = state

    def _free(self, hostname: str) -> None:
        held = self.rows.held.pop(hostname)
        self.farm.count(self.jobs[held.job], -1)

    def _count(self, held: HeldWork, ordinal: int, said: Said, hostname: str) -> None:
        rows = self.rows.jobs[held.job]
        if said is Said.DONE:
            held.done.add(ordinal)
            rows.states[ordinal] = TaskState.DONE
            return
        held.failed.add(ordinal)
        rows.failures[ordinal] += 1
        rows.failed_by[ordinal] = rows.failed_by.get(ordinal, frozenset()) | {uuid_of(hostname)}
        requeue = rows.settings.get("requeue", 3)
        rows.states[ordinal] = after_failure(rows.failures[ordinal], requeue)
        if rows.states[ordinal] is TaskState.WAITING:
            self.jobs[held.job].waiting.add([ordinal])

    def _tell_who_waits_for(self, number: int) -> None:
        for other, rows in self.rows.jobs.items():
            if number in rows.settings["parents"]:
                self._look_at_parents(other)

    def _look_at_parents(self, number: int) -> None:
        job, done = self.jobs[number], self.rows.parents_done(number)
        if job.parents_done != done:
            job.parents_done = done
            self.farm.settle(job)

    def _change(self, node: Queue | Job, fields: Row, parent: int | None, *, again: bool) -> None:
        if again:
            self.farm.cut(node)
        for name, value in fields.items():
            setattr(node, name, value)
        if again:
            self.farm.hang(node, self.queues[parent])
        else:
            self.farm.settle(node)
