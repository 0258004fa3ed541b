"""`Idempotency-Key`: a submission that is sent again is the one that was."""

import asyncio

import asyncpg
import httpx

from app.history.keeping import keep, keeper

SHOT = {"title": "shot", "frames": "1-3"}
BATCH = {"jobs": [{"title": "one", "frames": "1"}, {"title": "two", "frames": "1", "after": [0]}]}
KEY = {"Idempotency-Key": "8e03978e"}


async def count(client: httpx.AsyncClient) -> int:
    return len((await client.get("/jobs")).json()["items"])


async def test_the_same_submission_with_the_same_key_is_the_same_job(
    client: httpx.AsyncClient,
) -> None:
    first = await client.post("/jobs", json=SHOT, headers=KEY)
    again = await client.post("/jobs", json=dict(reversed(SHOT.items())), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert await count(client) == 1


async def test_a_batch_with_the_same_key_is_the_same_batch(client: httpx.AsyncClient) -> None:
    first = await client.post("/jobs/batch", json=BATCH, headers=KEY)
    again = await client.post("/jobs/batch", json=BATCH, headers=KEY)
    assert (again.status_code, again.json()) == (201, first.json())
    assert await count(client) == 2


async def test_another_body_with_the_same_key_is_refused(client: httpx.AsyncClient) -> None:
    await client.post("/jobs", json=SHOT, headers=KEY)
    for path, body in (("/jobs", SHOT | {"title": "other"}), ("/jobs/batch", BATCH)):
        refused = await client.post(path, json=body, headers=KEY)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await count(client) == 1


async def test_of_many_at_once_one_is_stored_and_all_have_its_id(
    client: httpx.AsyncClient,
) -> None:
    calls = [client.post("/jobs", json=SHOT, headers=KEY) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await count(client) == 1


async def test_a_submission_that_was_refused_leaves_its_key_free(
    client: httpx.AsyncClient,
) -> None:
    refused = await client.post("/jobs", json=SHOT | {"queue": "/none"}, headers=KEY)
    assert refused.status_code == 422
    assert (await client.post("/jobs", json=SHOT, headers=KEY)).status_code == 201


async def test_a_key_has_up_to_255_visible_characters(client: httpx.AsyncClient) -> None:
    for key, status in (("k" * 255, 201), ("k" * 256, 422), ("a b", 422), ("", 422)):
        answer = await client.post("/jobs", json=SHOT, headers={"Idempotency-Key": key})
        assert answer.status_code == status, key


async def test_a_key_is_forgotten_after_a_day(client: httpx.AsyncClient, database: str) -> None:
    first = await client.post("/jobs", json=SHOT, headers=KEY)
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    for age, same in (("23 hours", True), ("25 hours", False)):
        await connection.execute(
            "UPDATE idempotency_keys SET made_at = clock_timestamp() - CAST($1 AS text)::interval",
            age,
        )
        async with keeper(database) as keeping:
            await keep(keeping, 0)
        again = await client.post("/jobs", json=SHOT, headers=KEY)
        assert (again.json()["id"] == first.json()["id"]) is same
    await connection.close()
