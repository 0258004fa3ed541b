"""Agents and operators who do whatever comes to their minds, one thing after the other."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.driver import FARM_LOCK
from app.scheduler.reaper import reap
from app.settings import Settings
from tests.farm import Json

FINE = {200, 201, 204, 404, 409, 422}
TAGS = ["gpu", "linux", "big"]

# What an operator may type into psql, without the farm lock and without a word to anybody.
BY_HAND = [
    "UPDATE jobqueues SET weight = 1 + id % 7, priority = id % 2",
    "UPDATE jobqueues SET paused = NOT paused WHERE id % 5 = 0",
    "UPDATE jobqueues SET prefer_running_jobs = NOT prefer_running_jobs WHERE id % 2 = 1",
    "UPDATE jobqueues SET maximum_agents = NULL, minimum_agents = 1 WHERE id % 3 = 0",
    "UPDATE jobqueues SET parent_jobqueue_id = NULL WHERE id % 4 = 0",
    """INSERT INTO jobqueues (name, fullpath) SELECT 'x' || n, '/x' || n
    FROM (SELECT count(*) AS n FROM jobqueues) c ON CONFLICT DO NOTHING""",
    "UPDATE jobs SET priority = id % 3, batch = 1 + id % 2, requeue = -1",
    "UPDATE jobs SET required_tags = '{gpu}' WHERE id % 6 = 0",
    "DELETE FROM job_dependencies WHERE job_id % 2 = 0",
    """DELETE FROM jobs WHERE id % 7 = 0 AND NOT EXISTS (
        SELECT FROM assignments a WHERE a.job_id = jobs.id AND a.ended_at IS NULL
    )""",
    "UPDATE agents SET tags = '{linux}', cpus = 4 WHERE port IS NULL AND mode = 'enabled'",
    "UPDATE agents SET free_ram = 100 WHERE hostname = 'h1'",
]

LEASES_RUN_OUT = text("""
UPDATE agents SET lease_expires_at = clock_timestamp() - interval '1 second'
WHERE abs(hashtext(CAST(id AS text))) % :share = 0
""")


@dataclass
class Player:
    """Plays steps; each is known by its name, so that a failure tells what came before it."""

    client: httpx.AsyncClient
    engine: AsyncEngine
    chance: random.Random
    agents: list[str] = field(default_factory=list)
    queues: list[int] = field(default_factory=list)
    jobs: list[int] = field(default_factory=list)
    held: dict[str, Json] = field(default_factory=dict)
    given: list[Json] = field(default_factory=list)  # the latest assignments, ended or not

    async def step(self) -> str:
        steps: list[Callable[[], Awaitable[None]]] = [
            *[self.work] * 12, *[self.poll] * 5, *[self.report] * 5, *[self.together] * 4,
            *[self.submit] * 3, *[self.make_queue] * 2, *[self.register] * 2,
            self.release, self.heartbeat,
            self.change_agent, self.change_agent, self.forget_agent, self.change_queue,
            self.change_queue, self.move_queue, self.forget_queue, self.submit_batch,
            self.change_job, self.change_job, self.pause, self.resume, self.rerun,
            self.rerun_failed, self.forget_job, self.lose_leases, self.by_hand, self.many_at_once,
        ]  # fmt: skip
        chosen = self.chance.choice(steps)
        await chosen()
        return chosen.__name__

    # --- agents ---

    async def register(self) -> None:
        host = self.chance.choice(["h0", "h1", "h2", "h3"])
        facts = {
            "hostname": host,
            "port": self.chance.choice([None, 7001, 7002]),
            "cpus": self.chance.choice([1, 4, 16]),
            "ram": self.chance.choice([100, 8_000]),
            "tags": self.some(TAGS),
        }
        made = await self.call("POST", "/agents", facts)
        if made and made["id"] not in self.agents:
            self.agents.append(made["id"])

    async def poll(self) -> None:
        body: Json = {"agent_id": self.one(self.agents) or str(uuid4())}
        if self.chance.random() < 0.2:
            body["free_ram"] = self.chance.choice([10, 100, 8_000])
        if self.given and self.chance.random() < 0.5:
            given = self.chance.choice(self.given[-4:])
            body |= {"agent_id": given["agent_id"], "results": self.results(given)}
            if self.chance.random() < 0.7:
                body["assignment_id"] = given["id"]
        answer = await self.call("POST", "/assign", body)
        if answer and "tasks" in answer:
            self.given = [*self.given[-12:], answer]

    async def work(self) -> None:
        """All agents, in whatever order: what they hold they mostly do, and ask for more."""
        for agent_id in self.chance.sample(self.agents, k=min(6, len(self.agents))):
            body: Json = {"agent_id": agent_id}
            if held := self.held.pop(agent_id, None):
                state = self.chance.choice(["done", "done", "done", "failed"])
                said = [{"task_id": task["id"], "state": state} for task in held["tasks"]]
                body |= {"assignment_id": held["id"], "results": said}
            answer = await self.call("POST", "/assign", body)
            if answer:
                self.held[agent_id] = answer

    async def report(self) -> None:
        given = self.one(self.given[-6:])
        if given:
            said = self.results(given) or self.results(given, most=1)
            await self.call("POST", f"/assignments/{given['id']}/results", {"results": said})

    async def together(self) -> None:
        """Calls that wait for the farm lock, and then are served by one cycle."""
        calls = [self.chance.choice([self.poll, self.poll, self.report]) for _ in range(8)]
        async with self.engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({FARM_LOCK})"))
            begun = asyncio.gather(*(call() for call in calls))
            await asyncio.sleep(0.02)
        await begun

    async def release(self) -> None:
        given = self.one(self.given)
        if given:
            await self.call("POST", f"/assignments/{given['id']}/release")

    async def heartbeat(self) -> None:
        sign: Json = {"free_ram": self.chance.choice([None, 10, 100, 8_000])}
        await self.call("POST", f"/agents/{self.one(self.agents) or uuid4()}/heartbeat", sign)

    async def lose_leases(self) -> None:
        share = {"share": self.chance.choice([2, 3])}
        async with self.engine.begin() as connection:
            await connection.execute(LEASES_RUN_OUT, share)
        async with self.engine.begin() as connection:
            await reap(connection, Settings(max_lost_leases=2))

    # --- operators ---

    async def change_agent(self) -> None:
        change: Json = self.chance.choice(
            [
                {"tags": self.some(TAGS)},
                *[{"state": s} for s in ("draining", "disabled", "offline", *["online"] * 5)],
                {"free_ram": 50, "cpus": 2},
            ]
        )
        await self.call("PATCH", f"/agents/{self.one(self.agents) or uuid4()}", change)

    async def forget_agent(self) -> None:
        if len(self.agents) > 4:
            await self.call("DELETE", f"/agents/{self.one(self.agents)}")

    async def make_queue(self) -> None:
        name = f"q{self.chance.randrange(100)}"
        body = {"name": name, "parent_jobqueue_id": self.one([None, *self.queues])}
        made = await self.call("POST", "/jobqueues", body | self.limits())
        self.queues += [made["id"]] if made else []

    async def change_queue(self) -> None:
        change: Json = self.limits() | {
            "paused": self.chance.random() < 0.2,
            "prefer_running_jobs": self.chance.random() < 0.5,
        }
        if self.chance.random() < 0.3:
            change = {"name": f"q{self.chance.randrange(100)}"}
        await self.call("PATCH", f"/jobqueues/{self.one(self.queues) or 1}", change)

    async def move_queue(self) -> None:
        place = {"parent_jobqueue_id": self.one([None, *self.queues])}
        await self.call("PATCH", f"/jobqueues/{self.one(self.queues) or 1}", place)

    async def forget_queue(self) -> None:
        await self.call("DELETE", f"/jobqueues/{self.one(self.queues) or 1}")

    async def submit(self) -> None:
        made = await self.call("POST", "/jobs", self.a_job())
        self.jobs += [made["id"]] if made else []

    async def submit_batch(self) -> None:
        jobs = [self.a_job() for _ in range(self.chance.choice([2, 3, 40]))]
        for place, job in enumerate(jobs):
            job["after"] = [place - 1] if place % 3 == 2 else []
            if len(jobs) > 3:  # kinds come and go by the dozen
                job |= {"required_tags": [f"only {place}"], "excluded_tags": [], "frames": "1"}
        made = await self.call("POST", "/jobs/batch", {"jobs": jobs})
        self.jobs += [job["id"] for job in made["items"]] if made else []

    async def change_job(self) -> None:
        change: Json = self.chance.choice(
            [
                self.limits(),
                self.needs(),
                {"job_queue_id": self.one([None, *self.queues])},
                {"parents": self.some(self.jobs[-5:])},
                {"requeue": self.chance.choice([0, -1]), "batch": 3, "title": "renamed"},
            ]
        )
        await self.call("PATCH", f"/jobs/{self.a_job_id()}", change)

    async def pause(self) -> None:
        body = {"stop": self.chance.random() < 0.5}
        await self.call("POST", f"/jobs/{self.a_job_id()}/pause", body)

    async def resume(self) -> None:
        await self.call("POST", f"/jobs/{self.a_job_id()}/resume")

    async def rerun(self) -> None:
        await self.call("POST", f"/jobs/{self.a_job_id()}/rerun")

    async def rerun_failed(self) -> None:
        for _ in range(3):
            await self.call("POST", f"/jobs/{self.a_job_id()}/rerun-failed")

    async def forget_job(self) -> None:
        await self.call("DELETE", f"/jobs/{self.a_job_id()}")

    async def by_hand(self) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(self.chance.choice(BY_HAND)))

    async def many_at_once(self) -> None:
        """Edits of which a reader hears in one go, in whatever order."""
        for _ in range(6):
            await self.chance.choice(
                [
                    self.move_queue, self.make_queue, self.forget_queue, self.change_job,
                    self.forget_job, self.submit, self.change_queue, self.release, self.rerun,
                ]
            )()  # fmt: skip

    # --- what they choose ---

    def a_job(self) -> Json:
        frames = self.chance.choice(["1", "1", "1-2", "1-3", "1-6", "1-2,5-7", "1-9x2"])
        return (
            {"title": f"j{self.chance.randrange(1_000)}", "frames": frames}
            | {"job_queue_id": self.one([None, *self.queues]), "parents": self.some(self.jobs[-3:])}
            | {"batch": self.chance.choice([1, 1, 2, 4]), "num_tiles": self.chance.choice([1, 2])}
            | {"batch_contiguous": self.chance.random() < 0.5}
            | {"requeue": self.chance.choice([0, 1, -1]), "paused": self.chance.random() < 0.1}
            | self.limits()
            | self.needs()
        )

    def limits(self) -> Json:
        return {
            "priority": self.chance.choice([0, 0, 1]),
            "weight": self.chance.choice([0, 1, 10, 10]),
            "minimum_agents": self.chance.choice([None, None, 0, 1]),
            "maximum_agents": self.chance.choice([None] * 6 + [1, 1, 2, 0]),
        }

    def needs(self) -> Json:
        required = self.chance.choice([[], [], [], ["gpu"], ["gpu", "linux"]])
        return {
            "cpus": self.chance.choice([1, 1, 4]),
            "ram": self.chance.choice([32, 32, 1_000]),
            "required_tags": required,
            "excluded_tags": self.chance.choice([[], [], ["big"]]),
        }

    def results(self, given: Json, most: int | None = None) -> list[Json]:
        """What became of all the tasks, or of some."""
        states = self.chance.choice([["done"], ["done"], ["failed"], ["done", "failed", "running"]])
        tasks = given["tasks"][: most or self.chance.choice([1, None, None])]
        return [{"task_id": task["id"], "state": self.chance.choice(states)} for task in tasks]

    def a_job_id(self) -> int:
        return self.one(self.jobs[-12:]) or 1

    def one(self, of: list[Any]) -> Any:
        return self.chance.choice(of) if of else None

    def some(self, of: list[Any]) -> list[Any]:
        return [one for one in of if self.chance.random() < 0.3]

    async def call(self, method: str, url: str, body: Json | None = None) -> Json | None:
        answer = await self.client.request(method, url, json=body)
        assert answer.status_code in FINE, f"{method} {url} {body}: {answer.text}"
        return answer.json() if answer.is_success and answer.content else None
