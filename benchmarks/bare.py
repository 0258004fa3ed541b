"""The route that does nothing: what FastAPI and uvicorn give at most, with the models of /assign.

`python -m benchmarks.bare PORT` serves it in a process of its own.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import httpx
import uvicorn
from fastapi import FastAPI

from app.policy.task_ids import task_id
from app.scheduler.schemas import AssignedJob, AssignedTask, Assignment, AssignRequest
from tests.processes import START_SECONDS, free_port

# As long as an answer of the small farm.
ANSWER = Assignment(
    id=10_000,
    agent_id=UUID("5f0c9a52-6c1e-4b3e-9d0a-2f4f5a1c7e11"),
    lease_expires_at=datetime(2030, 1, 1, 12, 30, 15, 123_456, tzinfo=UTC),
    lease_seconds=3_600.0,
    heartbeat_seconds=1_200.0,
    job=AssignedJob(
        id=20, title="job 19", data=None, environ={}, cpus=1, ram=32, batch=1, queue="/q1"
    ),
    tasks=[AssignedTask(id=task_id(20, 1_000), frame=1_001, tile=0, attempt=1)],
)

app = FastAPI()


@app.post("/assign")
async def assign(asked: AssignRequest) -> Assignment:  # noqa: ARG001  # it is read, and that is all
    return ANSWER


@contextmanager
def bare_service() -> Iterator[str]:
    """A process that serves the route; its URL, once it answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", str(port)])  # noqa: S603
    url = f"http://127.0.0.1:{port}"
    try:
        _until_ready(url)
        yield url
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _until_ready(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/openapi.json")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the bare service was never ready")


def main() -> None:
    port = int(sys.argv[1])
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_config=None, access_log=False, server_header=False
    )


if __name__ == "__main__":
    main()
