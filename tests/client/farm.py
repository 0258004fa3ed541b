"""A farm small enough to read: answers the agent's and the commands' calls, and remembers them."""

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import httpx

from farmqueue.client import AsyncClient, Client

Json = dict[str, Any]
FOREVER = 3600.0


def problem(status: int, code: str, detail: str = "no", **more: Any) -> httpx.Response:
    """An answer as the service gives it for an error."""
    body = {"type": "about:blank", "title": "No", "status": status, "detail": detail, "code": code}
    return httpx.Response(
        status, json=body | more, headers={"content-type": "application/problem+json"}
    )


def answering(response: httpx.Response) -> httpx.MockTransport:
    """A service that gives the same answer to everything."""
    return httpx.MockTransport(lambda _: response)


@dataclass
class Call:
    """A request as the farm saw it."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: httpx.Headers


@dataclass
class Farm:
    """Hands out the assignments it was given, one at a time to each agent, and records results."""

    heartbeat_seconds: float = FOREVER
    lease_seconds: float = FOREVER
    away: bool = False
    silent: bool = False  # accepts connections and says nothing
    slow: dict[str, float] = field(default_factory=dict)  # of an answer, by "METHOD /path"
    refuse: dict[str, httpx.Response] = field(default_factory=dict)  # by "METHOD /path"
    answers: dict[str, Any] = field(default_factory=dict)  # by "METHOD /path"
    stop: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    agents: dict[str, Json] = field(default_factory=dict)
    waiting: list[Json] = field(default_factory=list)
    held: dict[str, Json] = field(default_factory=dict)
    results: dict[int, Json] = field(default_factory=dict)
    reports: list[Json] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    token: str | None = None  # what a registration is answered with
    token_seconds: float | None = None
    refused_tokens: set[str] = field(default_factory=set)
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def give(
        self, *frames: float, tiles: int = 1, environ: Json | None = None, **data: Any
    ) -> Json:
        """Have an assignment wait for the next agent; `data` as in a job."""
        number = next(self._ids)
        places = [(frame, tile) for frame in frames or (1,) for tile in range(tiles)]
        assignment: Json = {
            "id": 100 + number,
            "job": {
                "id": number,
                "title": "shot",
                "data": data,
                "environ": environ or {},
                "cpus": 1,
                "ram": 32,
                "batch": len(places),
                "queue": "/films",
            },
            "tasks": [
                {"id": number * 1000 + i, "frame": frame, "tile": tile, "attempt": 1}
                for i, (frame, tile) in enumerate(places)
            ],
        }
        self.waiting.append(assignment)
        return assignment

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.handle)

    def client(self) -> Client:
        return Client("http://farm", transport=self.transport())

    def async_client(self) -> AsyncClient:
        async def handle(request: httpx.Request) -> httpx.Response:
            while self.silent:
                await asyncio.sleep(0.01)
            answer = self.handle(request)
            await asyncio.sleep(self.slow.get(f"{request.method} {request.url.path}", 0))
            return answer

        return AsyncClient("http://farm", transport=httpx.MockTransport(handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        call = Call(
            request.method,
            request.url.path,
            dict(request.url.params),
            json.loads(request.content) if request.content else None,
            request.headers,
        )
        self.calls.append(call)
        if self.away:
            raise httpx.ConnectError("connection refused", request=request)
        key = f"{call.method} {call.path}"
        if call.headers.get("authorization", "").removeprefix("Bearer ") in self.refused_tokens:
            return problem(401, "unauthorized", "this token is not valid")
        if key in self.refuse:
            return self.refuse[key]
        if key in self.answers:
            return httpx.Response(200, json=self.answers[key])
        return self._served(key, call)

    def _served(self, key: str, call: Call) -> httpx.Response:
        for pattern, serve in _ROUTES:
            if found := re.fullmatch(pattern, key):
                return serve(self, call.body or {}, *found.groups())
        return problem(404, "not_found", f"the fake farm has no {key}")

    def register(self, body: Json) -> httpx.Response:
        known = body["id"] in self.agents
        self.agents[body["id"]] = {**body, "state": "online"}
        own = {"token": self.token, "token_seconds": self.token_seconds}
        return httpx.Response(200 if known else 201, json=self.agents[body["id"]] | own)

    def assign(self, body: Json) -> httpx.Response:
        agent_id = body["agent_id"]
        if agent_id not in self.agents:
            return problem(404, "agent_not_found")
        if body.get("results"):
            refusal = self._take(body["assignment_id"], body["results"])
            if refusal:
                return refusal
        if agent_id not in self.held and self.waiting:
            self.held[agent_id] = self.waiting.pop(0)
        if agent_id not in self.held:
            return httpx.Response(204)
        granted = {
            "agent_id": agent_id,
            "lease_expires_at": "2030-01-01T00:00:00Z",
            "heartbeat_seconds": self.heartbeat_seconds,
            "lease_seconds": self.lease_seconds,
            "tasks": self._unfinished(self.held[agent_id]),
        }
        return httpx.Response(200, json=self.held[agent_id] | granted)

    def _unfinished(self, assignment: Json) -> list[Json]:
        ended = {"done", "failed"}
        states = self.states()
        return [task for task in assignment["tasks"] if states.get(task["id"]) not in ended]

    def report(self, body: Json, assignment_id: str) -> httpx.Response:
        return self._take(int(assignment_id), body["results"]) or httpx.Response(200, json={})

    def _take(self, assignment_id: int, results: list[Json]) -> httpx.Response | None:
        agent_id = self.holder(assignment_id)
        if agent_id is None:
            return problem(409, "stale_assignment", "the assignment has ended")
        self.reports += results
        self.results |= {result["task_id"]: result for result in results}
        if not self._unfinished(self.held[agent_id]):
            del self.held[agent_id]
        return None

    def release(self, _: Json, assignment_id: str) -> httpx.Response:
        agent_id = self.holder(int(assignment_id))
        if agent_id is None:
            return problem(409, "stale_assignment")
        del self.held[agent_id]
        self.released.append(int(assignment_id))
        return httpx.Response(200, json={})

    def heartbeat(self, _: Json, agent_id: str) -> httpx.Response:
        if agent_id not in self.agents:
            return problem(404, "agent_not_found")
        answer = {
            "heartbeat_seconds": self.heartbeat_seconds,
            "lease_seconds": self.lease_seconds,
            "lease_expires_at": "2030-01-01T00:00:00Z",
            "state": self.agents[agent_id]["state"],
            "stop": self.stop,
        }
        return httpx.Response(200, json=answer)

    def change_agent(self, body: Json, agent_id: str) -> httpx.Response:
        self.agents[agent_id] |= body
        return httpx.Response(200, json=self.agents[agent_id])

    def holder(self, assignment_id: int) -> str | None:
        return next((a for a, held in self.held.items() if held["id"] == assignment_id), None)

    def called(self, key: str) -> list[Call]:
        """The calls of one kind, in their order."""
        return [call for call in self.calls if f"{call.method} {call.path}" == key]

    def states(self) -> dict[int, str]:
        """The last reported state of each task."""
        return {task_id: result["state"] for task_id, result in self.results.items()}


_ROUTES: list[tuple[str, Callable[..., httpx.Response]]] = [
    (r"POST /agents", Farm.register),
    (r"POST /assign", Farm.assign),
    (r"POST /agents/([^/]+)/heartbeat", Farm.heartbeat),
    (r"PATCH /agents/([^/]+)", Farm.change_agent),
    (r"POST /assignments/(\d+)/results", Farm.report),
    (r"POST /assignments/(\d+)/release", Farm.release),
]


async def until(happened: Callable[[], Any]) -> None:
    """Wait for something to have happened; the test's own time limit ends the waiting."""
    while not happened():
        await asyncio.sleep(0.005)


@contextmanager
def listening(farm: Farm) -> Iterator[str]:
    """The farm as a server on loopback, for processes of their own; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = httpx.Request(self.command, f"http://farm{self.path}", content=content)
            response = farm.handle(request)
            self.send_response(response.status_code)
            self.send_header("content-type", response.headers.get("content-type", ""))
            self.send_header("content-length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
