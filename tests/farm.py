"""A farm over HTTP, in words: what tests build and do, and what they get."""

from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]


@dataclass
class Farm:
    """Queues go by fullpath, jobs by title, agents by hostname. Every call must succeed."""

    client: httpx.AsyncClient
    queues: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    held: dict[str, Json] = field(default_factory=dict)

    async def queue(self, fullpath: str, **fields: Any) -> Json:
        parent, _, name = fullpath.rpartition("/")
        made = await self.post("/jobqueues", {"name": name, "parent": parent or None} | fields)
        self.queues[fullpath] = made["id"]
        return made

    async def job(self, title: str, tasks: int = 1, **fields: Any) -> Json:
        frames = {} if "frames" in fields else {"start": 1, "end": tasks}
        made = await self.post("/jobs", {"title": title, **frames, **fields})
        self.jobs[title] = made["id"]
        return made

    async def agent(self, hostname: str, **fields: Any) -> Json:
        made = await self.post("/agents", {"hostname": hostname, "cpus": 8, "ram": 16384} | fields)
        self.agents[hostname] = made["id"]
        return made

    async def ask(self, hostname: str, **fields: Any) -> httpx.Response:
        """The bare answer to a poll."""
        body = {"agent_id": self.agents[hostname]} | fields
        return await self.client.post("/assign", json=body)

    async def assign(self, hostname: str, **fields: Any) -> Json | None:
        """The assignment that a poll gives, None for 204."""
        response = await self.ask(hostname, **fields)
        assert response.status_code in {200, 204}, response.text
        if response.status_code == 204:
            self.held.pop(hostname, None)
            return None
        self.held[hostname] = response.json()
        return self.held[hostname]

    async def gets(self, hostname: str, **fields: Any) -> str | None:
        """The title of the job that a poll gives, None for nothing."""
        assignment = await self.assign(hostname, **fields)
        return assignment["job"]["title"] if assignment else None

    async def report(self, hostname: str, state: str = "done", **fields: Any) -> httpx.Response:
        """Report every task that the agent holds, as the bare answer."""
        held = self.held[hostname]
        results = [{"task_id": task["id"], "state": state, **fields} for task in held["tasks"]]
        return await self.client.post(
            f"/assignments/{held['id']}/results", json={"results": results}
        )

    async def finish(self, hostname: str) -> None:
        """Report all that the agent holds as done; nothing where it holds nothing."""
        if hostname in self.held:
            response = await self.report(hostname)
            assert response.status_code == 200, response.text
            del self.held[hostname]

    async def fail(self, hostname: str, error: str = "exit code 1") -> None:
        response = await self.report(hostname, "failed", error=error)
        assert response.status_code == 200, response.text
        del self.held[hostname]

    async def set_queue(self, fullpath: str, **changes: Any) -> Json:
        return await self.patch(f"/jobqueues/{self.queues[fullpath]}", changes)

    async def set_job(self, title: str, **changes: Any) -> Json:
        return await self.patch(f"/jobs/{self.jobs[title]}", changes)

    async def set_agent(self, hostname: str, **changes: Any) -> Json:
        return await self.patch(f"/agents/{self.agents[hostname]}", changes)

    async def heartbeat(self, hostname: str, **fields: Any) -> Json:
        return await self.post(f"/agents/{self.agents[hostname]}/heartbeat", fields)

    async def see_job(self, title: str) -> Json:
        return await self.get(f"/jobs/{self.jobs[title]}")

    async def see_tasks(self, title: str) -> list[Json]:
        return list((await self.get(f"/jobs/{self.jobs[title]}/tasks"))["items"])

    async def get(self, url: str) -> Json:
        return _told(await self.client.get(url))

    async def post(self, url: str, body: Json | None = None) -> Json:
        return _told(await self.client.post(url, json=body))

    async def patch(self, url: str, body: Json) -> Json:
        return _told(await self.client.patch(url, json=body))


def _told(response: httpx.Response) -> Json:
    assert response.is_success, f"{response.status_code} {response.text}"
    told: Json = response.json()
    return told
