"""A token that was revoked a moment ago sees nothing more, though no cycle took notice yet."""

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from tests.farm import Farm
from tests.page.visitor import visitor
from tests.tokens import bearer, made


@pytest.fixture
async def deaf(app: FastAPI, farm: Farm) -> FastAPI:
    """A service that hears of nothing until it looks, with a queue and an agent."""
    await farm.queue("/films")
    await farm.agent("a0")
    await app.state.desk.look()
    for task in app.state.background:
        if task.get_name() in {"listener", "board"}:
            task.cancel()
    return app


async def revoke(database: str) -> None:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute("UPDATE tokens SET revoked_at = clock_timestamp()")
    await connection.close()


@pytest.mark.parametrize(
    "path",
    ["/", "/page/queues/rows", "/page/queues/{queue}/why", "/page/agents/{agent}/why",
     "/page/queues/{queue}/preview", "/page/queues/0"],
)  # fmt: skip
async def test_the_page_answers_not_once_more(
    deaf: FastAPI, farm: Farm, database: str, path: str
) -> None:
    guest = visitor(deaf)
    await guest.log_in(await made(farm.client, "operator"))
    address = path.format(queue=farm.queues["/films"], agent=farm.agents["a0"])

    async def ask() -> httpx.Response:
        if path.endswith("preview"):
            return await guest.post(address, {"weight": "3"})
        return await guest.get(address, **{"HX-Request": "true"})

    assert (await ask()).status_code == 200
    await revoke(database)
    answer = await ask()
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/page/login")


NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *(("/jobqueues/{queue}/explain", 200), ("/agents/{agent}/explain", 200)),
        *(("/jobs/{job}/explain", 200), ("/jobs/999/explain", 404)),
        *(("/jobqueues/999/explain", 404), (f"/agents/{NOBODY}/explain", 404)),
        *(("/assignments/999/explain", 404), ("/page/queues/999/why", 404)),
        *((f"/page/agents/{NOBODY}/why", 404), ("/page/jobs/999/why", 404)),
    ],
)
async def test_no_explanation_is_given_once_more_and_nobody_hears_what_is_not_there(
    deaf: FastAPI, farm: Farm, database: str, path: str, status: int
) -> None:
    token = await made(farm.client, "viewer")
    guest = visitor(deaf)
    await guest.log_in(token)
    await farm.job("shot")
    job, queue, agent = farm.jobs["shot"], farm.queues["/films"], farm.agents["a0"]
    address = path.format(job=job, queue=queue, agent=agent)
    headers = bearer(token) | {"HX-Request": "true"}
    assert (await guest.get(address, **headers)).status_code == status
    await revoke(database)
    assert deaf.state.desk.kept is not None
    assert (await guest.get(address, **headers)).status_code == 401


async def test_who_opens_a_page_then_comes_to_the_login(
    deaf: FastAPI, farm: Farm, database: str
) -> None:
    guest = visitor(deaf)
    await guest.log_in(await made(farm.client, "viewer"))
    await revoke(database)
    answer = await guest.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/page/login?next=/")
