"""The farm as this process keeps it: read whole once, then only what changed.

Under the farm lock, after `catch_up`, it equals what the database has. A cycle changes it as it
changes the database; what it undoes is in doubt, and read anew with the next news. Should its
commit fail in any other way the kept farm is thrown away and read again.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg

from app.policy.farm import Farm
from app.policy.fit import Agent
from app.policy.states import Mode, TaskState
from app.policy.tree import Job, Queue, path
from app.scheduler import feed, session, store
from app.scheduler.garbage import many_objects_to_stay
from app.scheduler.rows import agent_of, job_of, queue_of, set_queue
from app.scheduler.told import Told
from app.tokens.known import Known

# Rows between two looks at what else the process has to do.
AT_A_TIME = 1_000

FailedBy = dict[int, frozenset[UUID]]


@dataclass(slots=True, eq=False)
class Holding:
    """An assignment: its ordinals, and those of them that ended; `ended` says why it did."""

    id: int
    agent_id: UUID
    job_id: int
    ordinals: Sequence[int]
    done: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    ended: str | None = None

    @property
    def complete(self) -> bool:
        return len(self.over) == len(self.ordinals)

    @property
    def over(self) -> set[int]:
        return self.done | self.failed


@dataclass(frozen=True, slots=True)
class Lease:
    """What this process last wrote: it runs `until` then, by the database's clock, or longer.

    It is written anew when the agent calls, once that is `due` by this process's own steady clock.
    """

    until: datetime
    due: float


@dataclass(slots=True, eq=False)
class KeptAgent:
    """An agent as its row says, with what it holds."""

    facts: Agent
    hostname: str
    mode: str
    online: bool
    held: Holding | None = None
    lease: Lease | None = None  # None: to be written when it calls


@dataclass(slots=True, eq=False)
class KeptJob:
    """An unfinished job: how many tasks are not done, and how many neither done nor failed."""

    job: Job
    title: str
    requeue: int
    undone: int
    unfinished: int
    parents: set[int]


class KeptFarm:
    """Queues, unfinished jobs, agents and active assignments by their ids, over the policy's farm.

    `changed_agents` collects those that others changed: they may have work by that though no more
    is open than before.
    """

    def __init__(self, seen: feed.Seen, known: Known) -> None:
        self.seen = seen
        self.known = known
        self.farm = Farm(Queue(id=0))
        self.queues: dict[int, Queue] = {}
        self.names: dict[int, str] = {}
        self.jobs: dict[int, KeptJob] = {}
        self.agents: dict[UUID, KeptAgent] = {}
        self.held: dict[int, Holding] = {}
        self.children: dict[int, set[int]] = defaultdict(set)  # of a job that is not done
        self.told = Told()
        self.changed_agents: set[UUID] = set()
        self._unsure_jobs: set[int] = set()
        self._unsure_agents: set[UUID] = set()

    @classmethod
    async def load(cls, connection: asyncpg.Connection, known: Known) -> "KeptFarm":
        """Read the whole farm, as one snapshot shows it; without the farm lock."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            kept = cls(await feed.start(connection), known)
            await store.plan_for_all(connection)
            queues = await store.queues(connection)
            jobs = await store.jobs(connection)
            failed = _by_job(await store.failed_before(connection))
            agents = await store.agents(connection)
        await known.hear(connection)  # the snapshot may lack a token that is known by now
        with many_objects_to_stay():
            await kept._build(queues, jobs, failed, agents)
        return kept

    async def catch_up(self, connection: asyncpg.Connection, row: asyncpg.Record) -> bool:
        """Take in what others changed, and what is not sure; whether anything is new.

        The row was read under the farm lock, which is held, or in a transaction that reads from one
        snapshot. Raises `feed.Outdated` where only `load` can tell.
        """
        news = feed.news(row, self.seen)
        if news.tokens:
            await self.known.hear(connection, news.tokens)
        if news.queues:
            self._take_queues(news.queues, await store.queues(connection, news.queues))
        if jobs := self._unsure_jobs.union(news.jobs):
            await self._read_jobs(connection, list(jobs))
        if agents := self._unsure_agents.union(news.agents):
            self._take_agents(agents, await store.agents(connection, list(agents)))
        self._unsure_jobs, self._unsure_agents = set(), set()
        self.seen = news.seen
        return bool(news)

    async def refresh(self, connection: asyncpg.Connection) -> None:
        """Take in what others did, with no lock. Raises as `catch_up`."""
        if not self._take_in(await session.look(connection, self.seen)):
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await self.catch_up(connection, await feed.read(connection, self.seen))

    def _take_in(self, row: asyncpg.Record) -> bool:
        """Take what a look found, if that is all that is new: jobs, of which no more is to be read.

        Else nothing is taken.
        """
        news = feed.news(row, self.seen)
        others = news.queues or news.agents or news.tokens
        found = json.loads(row["found"] or "[]", parse_float=Decimal)
        more = any(job["is_parent"] or job["has_failed_before"] for job in found)
        over = len(found) < len(news.jobs)
        if others or more or over or self._unsure_jobs or self._unsure_agents:
            return False
        self._take_jobs(news.jobs, found, {})
        self.seen = news.seen
        return True

    def doubt(self, jobs: Collection[int], agents: Collection[UUID]) -> None:
        """What was changed of these here is not true after all: they are read anew."""
        self._unsure_jobs.update(jobs)
        self._unsure_agents.update(agents)

    async def _read_jobs(self, connection: asyncpg.Connection, ids: Sequence[int]) -> None:
        """These jobs; where one came, or is over, those that wait for it as well."""
        rows = await store.jobs(connection, ids)
        came = {row["id"] for row in rows if row["is_parent"]} - self.jobs.keys()
        known = self.jobs.keys() | self._unsure_jobs
        over = known.intersection(ids).difference(row["id"] for row in rows)
        if turned := came | over:
            more = set(await store.dependents(connection, list(turned))).difference(ids)
            if more:
                ids = [*ids, *more]
                rows = [*rows, *await store.jobs(connection, list(more))]
        tried = [row["id"] for row in rows if row["has_failed_before"]]
        failed = await store.failed_before(connection, tried) if tried else []
        self._take_jobs(ids, rows, _by_job(failed))

    def wrote(self, transaction: int) -> None:
        """The changes of this transaction are this process's own, and kept already."""
        self.seen = replace(self.seen, own=transaction)

    # --- what a cycle does ---

    def come_online(self, agent: KeptAgent, free_ram: int | None) -> None:
        """An agent that may ask did so."""
        if free_ram is not None and free_ram != agent.facts.free_ram:
            agent.facts = replace(agent.facts, free_ram=free_ram)
            agent.lease = None  # the row is to be written
        agent.online = True
        self._list_online(agent)

    def hold(self, holding: Holding) -> None:
        """An agent was given work, which the policy has counted."""
        self.agents[holding.agent_id].held = holding
        self.held[holding.id] = holding

    def end_task(
        self, holding: Holding, ordinal: int, becomes: TaskState, failed_by: frozenset[UUID]
    ) -> None:
        """A task was reported done or failed; `failed_by` counts where it waits again."""
        kept = self.jobs[holding.job_id]
        if becomes is TaskState.WAITING:
            kept.job.waiting.add([ordinal])
            kept.job.failed_by[ordinal] = failed_by
        else:
            kept.unfinished -= 1
            kept.undone -= becomes is TaskState.DONE
            kept.job.failed_by.pop(ordinal, None)

    def settle(self, holdings: Collection[Holding]) -> None:
        """After the tasks of all reports: agents are free whose last it was, jobs over."""
        for holding in holdings:
            if holding.complete:
                self._release(self.agents[holding.agent_id])
            else:
                self.farm.settle(self.jobs[holding.job_id].job)
        for kept in [self.jobs[job_id] for job_id in {holding.job_id for holding in holdings}]:
            if kept.undone == 0:
                self._let_children_run(kept.job.id)
            if kept.unfinished == 0:
                self._remove_job(kept.job.id)

    # --- what others did ---

    def _take_queues(self, ids: Collection[int], rows: Sequence[Mapping[str, Any]]) -> None:
        """First all are there, then those that move are cut off, then hung where they belong."""
        self.told.clear()  # fullpaths
        moved: list[tuple[Queue, int | None]] = []
        for row in rows:
            self.names[row["id"]] = row["name"]
            queue = self.queues.get(row["id"])
            if queue is None:
                queue = self.queues[row["id"]] = queue_of(row)
                moved.append((queue, row["parent_jobqueue_id"]))
                continue
            preferred = queue.prefer_running_jobs
            set_queue(queue, row)
            if queue.prefer_running_jobs != preferred:
                self.farm.settle_below(queue)
            assert queue.parent is not None
            if queue.parent.id == (row["parent_jobqueue_id"] or 0):
                self.farm.settle(queue)
            else:
                moved.append((queue, row["parent_jobqueue_id"]))
        gone = set(ids) - {row["id"] for row in rows}
        for queue in [*(queue for queue, _ in moved), *filter(None, map(self.queues.get, gone))]:
            if queue.parent is not None:
                self.farm.cut(queue)
        for queue, parent_id in moved:
            self.farm.hang(queue, self._queue(parent_id))
        for queue_id in gone:
            self.queues.pop(queue_id, None)
            self.names.pop(queue_id, None)

    def _take_jobs(
        self, ids: Collection[int], rows: Sequence[Mapping[str, Any]], failed: dict[int, FailedBy]
    ) -> None:
        """Each is made anew, with the agents that it has."""
        agents: dict[int, int] = {}
        for job_id in set(ids) & self.jobs.keys():
            agents[job_id] = self.jobs[job_id].job.assigned
            self._remove_job(job_id)
        for row in rows:
            kept = self._add_job(row, failed.get(row["id"], {}))
            kept.job.assigned = agents.get(row["id"], 0)
            self.farm.hang(kept.job, self._queue(row["job_queue_id"]))

    def _take_agents(self, ids: Collection[UUID], rows: Sequence[Mapping[str, Any]]) -> None:
        self.changed_agents.update(ids)
        found = {row["id"]: row for row in rows}
        for agent_id in ids:
            agent = self.agents.pop(agent_id, None)
            if agent is not None:
                self._release(agent)
                self.farm.online.pop(agent_id, None)
            if agent_id in found:
                added = self._add_agent(found[agent_id])
                if added.held is not None:
                    self.farm.count(self.jobs[added.held.job_id].job, 1)

    # --- parts of both ---

    async def _build(
        self,
        queues: Sequence[Mapping[str, Any]],
        jobs: Sequence[Mapping[str, Any]],
        failed: dict[int, FailedBy],
        agents: Sequence[Mapping[str, Any]],
    ) -> None:
        """Make the tree in one go, letting others have the processor in between."""
        root = Queue(id=0)
        for row in queues:
            queue = self.queues[row["id"]] = queue_of(row)
            self.names[row["id"]] = row["name"]
            (self.queues.get(row["parent_jobqueue_id"]) or root).add(queue)
        async for row in _unhurried(jobs):
            job = self._add_job(row, failed.get(row["id"], {})).job
            (self.queues.get(row["job_queue_id"]) or root).add(job)
        for row in agents:
            held = self._add_agent(row).held
            for node in path(self.jobs[held.job_id].job) if held else ():
                node.assigned += 1
        self.farm = Farm(root, self.farm.online.values())

    def _queue(self, queue_id: int | None) -> Queue:
        return self.farm.root if queue_id is None else self.queues[queue_id]

    def _add_job(self, row: Mapping[str, Any], failed_by: FailedBy) -> KeptJob:
        parents = set(row["parents"] or ())
        for parent_id in parents:
            self.children[parent_id].add(row["id"])
        undone = row["tasks_total"] - row["tasks_done"]
        unfinished = undone - row["tasks_failed"]
        job = job_of(row, failed_by)
        kept = KeptJob(job, row["title"], row["requeue"], undone, unfinished, parents)
        self.jobs[row["id"]] = kept
        return kept

    def _remove_job(self, job_id: int) -> None:
        kept = self.jobs.pop(job_id)
        self.told.forget(job_id)
        for parent_id in kept.parents:
            children = self.children[parent_id]
            children.discard(job_id)
            if not children:
                del self.children[parent_id]
        self.farm.cut(kept.job)

    def _let_children_run(self, job_id: int) -> None:
        for child_id in self.children.pop(job_id, ()):
            child = self.jobs[child_id]
            child.parents.discard(job_id)
            child.job.parents_done = not child.parents
            self.farm.settle(child.job)

    def _add_agent(self, row: Mapping[str, Any]) -> KeptAgent:
        agent = KeptAgent(agent_of(row), row["hostname"], row["mode"], row["online"])
        self.agents[row["id"]] = agent
        self._list_online(agent)
        if row["assignment_id"] is not None:
            self.hold(
                Holding(
                    row["assignment_id"],
                    row["id"],
                    row["job_id"],
                    row["ordinals"],
                    set(row["done"]),
                    set(row["failed"]),
                )
            )
        return agent

    def _list_online(self, agent: KeptAgent) -> None:
        """Who else could try a task that failed."""
        if agent.online and agent.mode == Mode.ENABLED:
            self.farm.online[agent.facts.id] = agent.facts

    def _release(self, agent: KeptAgent) -> None:
        held, agent.held = agent.held, None
        if held is not None:
            del self.held[held.id]
            if held.job_id in self.jobs:
                self.farm.count(self.jobs[held.job_id].job, -1)


async def _unhurried(rows: Sequence[Mapping[str, Any]]) -> AsyncIterator[Mapping[str, Any]]:
    """The rows; between some of them the process does what else it has to."""
    for place, row in enumerate(rows):
        if place % AT_A_TIME == 0:
            await asyncio.sleep(0)
        yield row


def _by_job(rows: Sequence[Mapping[str, Any]]) -> dict[int, FailedBy]:
    found: dict[int, FailedBy] = defaultdict(dict)
    for row in rows:
        found[row["job_id"]][row["ordinal"]] = frozenset(row["failed_by"])
    return found
