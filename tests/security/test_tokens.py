"""Tokens are made, seen and ended; what a token is bound to holds."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from app.access import Role
from app.caller import Caller
from app.clock import steady
from app.scheduler import feed
from app.scheduler.desk import Desk
from app.scheduler.kept import KeptFarm
from app.tokens import secret
from app.tokens.keeping import note
from tests.farm import Farm, Json
from tests.held import held_open
from tests.tokens import bearer, made


async def get(client: httpx.AsyncClient, token: str, path: str = "/jobs") -> int:
    return (await client.get(path, headers=bearer(token))).status_code


async def join(farm: Farm, token: str, hostname: str, **more: object) -> httpx.Response:
    body = {"hostname": hostname, **more}
    return await farm.client.post("/agents", json=body, headers=bearer(token))


async def joined(farm: Farm, hostname: str, **more: object) -> Json:
    token = await made(farm.client, "join")
    answer = await join(farm, token, hostname, **more)
    assert answer.status_code in {200, 201}, answer.text
    told: Json = answer.json()
    farm.agents[hostname] = told["id"]
    return told


def test_a_token_is_long_random_and_checked() -> None:
    tokens = {secret.mint(Role.VIEWER, 7) for _ in range(100)}
    assert len(tokens) == 100
    for token in tokens:
        found = secret.parse(token)
        assert found is not None
        assert found.token_id == 7
    wrong = [token[:20] + ("x" if token[20] != "x" else "y") + token[21:] for token in tokens]
    assert [secret.parse(token) for token in wrong] == [None] * 100


async def test_a_token_is_shown_once_and_only_its_digest_is_kept(farm: Farm, database: str) -> None:
    made_one = await farm.post("/tokens", {"role": "viewer", "name": "eve"})
    [listed] = (await farm.get("/tokens"))["items"]
    assert listed == {name: value for name, value in made_one.items() if name != "token"}
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    row = str(await connection.fetchrow("SELECT * FROM tokens"))
    await connection.close()
    assert made_one["token"] not in row


async def test_tokens_are_paged_like_other_lists(farm: Farm) -> None:
    for name in ("a", "b", "c"):
        await made(farm.client, "viewer", name)
    first = await farm.get("/tokens?limit=2")
    rest = await farm.get(f"/tokens?limit=2&cursor={first['next']}")
    assert [one["name"] for one in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"role": "agent", "name": "a"},
        {"role": "viewer", "name": "a", "job_queue_id": 1},
        {"role": "viewer", "name": "a", "uses": 1},
        {"role": "viewer", "name": "a b"},
        {"role": "viewer", "name": "a", "expires_at": "2001-01-01T00:00:00Z"},
        {"role": "viewer", "name": "a", "expires_at": "2901-01-01T00:00:00"},
        {"role": "join", "name": "a", "expires_at": "2901-01-01T00:00:00Z"},
    ],
)
async def test_a_token_that_cannot_be_is_refused(farm: Farm, body: Json) -> None:
    assert (await farm.client.post("/tokens", json=body)).status_code == 422


async def test_a_join_token_lives_a_day_unless_it_is_said(farm: Farm) -> None:
    one = await farm.post("/tokens", {"role": "join", "name": "a"})
    life = datetime.fromisoformat(one["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < life <= timedelta(hours=24)


async def test_a_token_that_expired_is_refused(farm: Farm, database: str) -> None:
    token = await made(farm.client, "viewer")
    assert await get(farm.client, token) == 200
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await connection.execute("UPDATE tokens SET expires_at = clock_timestamp()")
    await connection.close()
    assert await get(farm.client, token) == 401


async def test_who_has_no_token_is_refused_before_the_body_is_looked_at(farm: Farm) -> None:
    answer = await farm.client.post("/jobs", content=b"{", headers={"Authorization": ""})
    assert answer.status_code == 401


# --- revoked: at once ---


async def revoke(farm: Farm, token: str) -> None:
    answer = await farm.client.delete(f"/tokens/{token.split('_')[2]}")
    assert answer.status_code == 204


async def test_a_revoked_agent_gets_nothing_from_the_next_poll_on(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the feed alone: no hint, and nobody asks the database for the token."""
    told = await joined(farm, "a0")
    await farm.job("shot")
    agent = bearer(told["token"])
    monkeypatch.setattr(Desk, "stir", lambda _: None)
    await revoke(farm, told["token"])
    answer = await farm.client.post("/assign", json={}, headers=agent)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_a_revoked_agent_renews_no_lease_and_reports_nothing(farm: Farm) -> None:
    told = await joined(farm, "a0")
    await farm.job("shot")
    agent = bearer(told["token"])
    held = (await farm.client.post("/assign", json={}, headers=agent)).json()
    await revoke(farm, told["token"])
    results = {"results": [{"task_id": held["tasks"][0]["id"], "state": "done"}]}
    for path, body in (
        (f"/agents/{told['id']}/heartbeat", {}),
        (f"/assignments/{held['id']}/results", results),
        (f"/assignments/{held['id']}/release", None),
    ):
        answer = await farm.client.post(path, json=body, headers=agent)
        assert answer.status_code == 401, path
    assert (await farm.see_job("shot"))["tasks"]["done"] == 0


async def test_a_heartbeat_that_is_known_and_was_revoked_meanwhile_renews_nothing(
    farm: Farm, app: FastAPI
) -> None:
    """The statement itself refuses it, whatever this process has heard."""
    told = await joined(farm, "a0")
    parsed = secret.parse(told["token"])
    assert parsed is not None
    caller = await app.state.known.look_up(app.state.engine, parsed)
    before = await farm.get(f"/agents/{told['id']}")
    await revoke(farm, told["token"])
    caller.ended = False
    app.state.known._kept[parsed.digest] = caller
    answer = await farm.client.post(
        f"/agents/{told['id']}/heartbeat", headers=bearer(told["token"])
    )
    assert answer.status_code == 401
    after = await farm.get(f"/agents/{told['id']}")
    assert after["lease_expires_at"] == before["lease_expires_at"]


async def test_a_token_made_while_the_farm_is_read_whole_is_not_taken_for_a_revoked_one(
    farm: Farm, app: FastAPI, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The snapshot that the farm is read from is older than the token."""
    callers: list[Caller] = []
    start = feed.start

    async def made_meanwhile(connection: asyncpg.Connection) -> feed.Seen:
        seen = await start(connection)
        parsed = secret.parse(await made(farm.client, "viewer"))
        assert parsed is not None
        callers.append(await app.state.known.look_up(app.state.engine, parsed))
        return seen

    monkeypatch.setattr(feed, "start", made_meanwhile)
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    await KeptFarm.load(connection, app.state.known)
    await connection.close()
    assert callers
    assert all(caller.stands() for caller in callers)


async def test_a_poll_that_waits_is_refused_when_its_token_is_revoked(
    farm: Farm, app: FastAPI
) -> None:
    told = await joined(farm, "a0")
    agent = bearer(told["token"])
    poll = asyncio.create_task(farm.client.post("/assign", json={"wait": 60}, headers=agent))
    await held_open(app)
    await revoke(farm, told["token"])
    assert (await asyncio.wait_for(poll, 60)).status_code == 401


async def test_a_poll_that_waits_is_refused_at_its_end_where_its_token_expired(
    farm: Farm, app: FastAPI
) -> None:
    told = await joined(farm, "a0")
    agent = bearer(told["token"])
    poll = asyncio.create_task(farm.client.post("/assign", json={"wait": 2}, headers=agent))
    await held_open(app)
    parsed = secret.parse(told["token"])
    assert parsed is not None
    app.state.known.find(parsed.digest).deadline = steady()
    assert (await asyncio.wait_for(poll, 60)).status_code == 401


async def test_a_deleted_agents_tokens_end(farm: Farm) -> None:
    told = await joined(farm, "a0")
    assert (await farm.client.delete(f"/agents/{told['id']}")).status_code == 204
    assert (await join(farm, told["token"], "a0")).status_code == 401


# --- agents: each for itself ---


async def test_an_agent_need_not_say_who_it_is_and_an_admin_must(farm: Farm) -> None:
    told = await joined(farm, "a0")
    await farm.job("shot")
    own = await farm.client.post("/assign", json={}, headers=bearer(told["token"]))
    assert own.json()["agent_id"] == told["id"]
    unnamed = await farm.client.post("/assign", json={})
    assert (unnamed.status_code, unnamed.json()["code"]) == (422, "agent_id_missing")


async def test_an_agent_polls_for_no_other(farm: Farm) -> None:
    told, other = await joined(farm, "a0"), await joined(farm, "a1")
    body = {"agent_id": other["id"]}
    answer = await farm.client.post("/assign", json=body, headers=bearer(told["token"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "other_agent")


@pytest.mark.parametrize("body", [{"state": "disabled"}, {"cpus": 99}, {"tags": ["gpu"]}])
async def test_an_agent_changes_nothing_of_itself_but_that_it_is_offline(
    farm: Farm, body: Json
) -> None:
    told = await joined(farm, "a0")
    path, agent = f"/agents/{told['id']}", bearer(told["token"])
    assert (await farm.client.patch(path, json=body, headers=agent)).status_code == 403
    goodbye = {"state": "offline"}
    assert (await farm.client.patch(path, json=goodbye, headers=agent)).status_code == 200


# --- joining ---


async def test_a_join_token_is_used_no_more_often_than_it_may_be(farm: Farm) -> None:
    token = await made(farm.client, "join", uses=3)
    answers = await asyncio.gather(*(join(farm, token, f"a{n}", port=n + 1) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [403] * 5
    refused = {answer.json().get("code") for answer in answers if answer.status_code == 403}
    assert refused == {"join_token_used_up"}


async def test_a_join_token_takes_over_no_agent_that_is_at_work(farm: Farm) -> None:
    told = await joined(farm, "a0", port=1)
    thief = await join(farm, await made(farm.client, "join"), "a0", port=1)
    assert (thief.status_code, thief.json()["code"]) == (409, "agent_is_online")
    await farm.set_agent("a0", state="offline")
    heir = await join(farm, await made(farm.client, "join"), "a0", port=1)
    assert heir.json()["id"] == told["id"]
    assert (await join(farm, told["token"], "a0", port=1)).status_code == 401


async def test_an_agent_renews_its_token_and_the_old_one_goes_on_for_a_while(
    farm: Farm, database: str
) -> None:
    told = await joined(farm, "a0")
    renewed = (await join(farm, told["token"], "a0")).json()
    assert renewed["id"] == told["id"]
    assert renewed["token"] != told["token"]
    for token in (told["token"], renewed["token"]):
        path = f"/agents/{told['id']}"
        assert await get(farm.client, token, path) == 200
    old = (await farm.get("/tokens?role=agent"))["items"][0]
    life = datetime.fromisoformat(old["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < life <= timedelta(hours=1)
    assert database


async def test_all_tokens_of_an_agent_end_with_one(farm: Farm) -> None:
    told = await joined(farm, "a0")
    renewed = (await join(farm, told["token"], "a0")).json()
    await revoke(farm, told["token"])
    assert (await join(farm, renewed["token"], "a0")).status_code == 401


async def test_an_agent_that_is_revoked_while_it_renews_gets_no_new_token(
    farm: Farm, database: str
) -> None:
    told = await joined(farm, "a0")
    other = await asyncpg.connect(database.replace("+asyncpg", ""))
    async with other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(1717662317)")
        renewing = asyncio.create_task(join(farm, told["token"], "a0"))
        await asyncio.sleep(0.2)
        assert not renewing.done()
        await other.execute("UPDATE tokens SET revoked_at = clock_timestamp()")
    await other.close()
    assert (await renewing).status_code == 401


async def test_an_agent_serves_the_queue_that_its_join_token_is_bound_to(farm: Farm) -> None:
    films = (await farm.queue("/films"))["id"]
    token = await made(farm.client, "join", job_queue_id=films)
    told = (await join(farm, token, "a0")).json()
    assert told["job_queue_id"] == films
    assert told["joined_with"] == int(token.split("_")[2])


async def test_who_is_no_agent_gets_no_token_for_one(farm: Farm) -> None:
    assert (await farm.agent("a0"))["token"] is None


# --- bound to a queue ---


@pytest.fixture
async def bound(farm: Farm) -> dict[str, str]:
    """An operator of /films."""
    await farm.queue("/films")
    await farm.queue("/films/hero")
    await farm.queue("/tv")
    await farm.job("inside", queue="/films/hero")
    await farm.job("outside", queue="/tv")
    token = await made(farm.client, "operator", job_queue_id=farm.queues["/films"])
    return bearer(token)


async def test_nothing_moves_out_of_a_bound_queue_or_in(farm: Farm, bound: dict[str, str]) -> None:
    inside, outside = f"/jobs/{farm.jobs['inside']}", f"/jobs/{farm.jobs['outside']}"
    films, hero, tv = (farm.queues[path] for path in ("/films", "/films/hero", "/tv"))
    client = farm.client
    for path, body in (
        (inside, {"queue": "/tv"}),
        (inside, {"queue": "/"}),
        (outside, {"queue": "/films"}),
        (outside, {"weight": 1}),
        (f"/jobqueues/{hero}", {"parent": "/tv"}),
        (f"/jobqueues/{hero}", {"parent": None}),
        (f"/jobqueues/{tv}", {"parent": "/films"}),
        (f"/jobqueues/{films}", {"parent": "/tv"}),
    ):
        answer = await client.patch(path, json=body, headers=bound)
        assert (answer.status_code, answer.json()["code"]) == (403, "other_subtree"), (path, body)
    limits = await client.patch(f"/jobqueues/{films}", json={"weight": 3}, headers=bound)
    assert limits.status_code == 200
    assert (await client.delete(f"/jobqueues/{films}", headers=bound)).status_code == 403
    assert (await client.patch(inside, json={"queue": "/films"}, headers=bound)).status_code == 200


async def test_a_batch_that_is_partly_outside_is_refused_whole(
    farm: Farm, bound: dict[str, str]
) -> None:
    before = len((await farm.get("/jobs"))["items"])
    jobs = [
        {"title": "x", "frames": "1", "queue": path} for path in ("/films", "/films/hero", "/tv")
    ]
    answer = await farm.client.post("/jobs/batch", json={"jobs": jobs}, headers=bound)
    assert (answer.status_code, answer.json()["code"]) == (403, "other_subtree")
    assert len((await farm.get("/jobs"))["items"]) == before


async def test_a_token_whose_queue_is_gone_changes_nothing(
    farm: Farm, bound: dict[str, str]
) -> None:
    await farm.client.delete(f"/jobs/{farm.jobs['inside']}")
    for path in ("/films/hero", "/films"):
        await farm.client.delete(f"/jobqueues/{farm.queues[path]}")
    answer = await farm.client.post("/jobqueues", json={"name": "x"}, headers=bound)
    assert answer.status_code == 403


async def test_a_queue_that_moves_away_meanwhile_takes_no_job_of_a_bound_token(
    farm: Farm, bound: dict[str, str], database: str
) -> None:
    """The mover has the farm lock; whoever submits below waits for it, and looks then."""
    other = await asyncpg.connect(database.replace("+asyncpg", ""))
    moving = other.transaction()
    await moving.start()
    await other.execute("SELECT pg_advisory_xact_lock(1717662317)")
    body = {"title": "late", "frames": "1", "job_queue_id": farm.queues["/films/hero"]}
    late = asyncio.create_task(farm.client.post("/jobs", json=body, headers=bound))
    await asyncio.sleep(0.2)
    assert not late.done()
    await other.execute(
        "UPDATE jobqueues SET parent_jobqueue_id = $1 WHERE id = $2",
        farm.queues["/tv"],
        farm.queues["/films/hero"],
    )
    await moving.commit()
    await other.close()
    assert (await late).status_code == 403


async def test_a_submitter_changes_its_own_jobs_and_no_others(farm: Farm) -> None:
    one, two = [bearer(await made(farm.client, "submitter", name)) for name in ("ann", "bob")]
    body = {"title": "x", "frames": "1"}
    job = (await farm.client.post("/jobs", json=body, headers=one)).json()
    assert job["submitter"] == "ann"
    path = f"/jobs/{job['id']}"
    refused = await farm.client.patch(path, json={"weight": 1}, headers=two)
    assert (refused.status_code, refused.json()["code"]) == (403, "others_job")
    assert (await farm.client.patch(path, json={"weight": 1}, headers=one)).status_code == 200


# --- what is noted of them ---


async def test_the_history_names_who_did_it_and_never_a_token(farm: Farm) -> None:
    token = await made(farm.client, "operator", "alice")
    await farm.client.post("/jobqueues", json={"name": "films"}, headers=bearer(token))
    told = await joined(farm, "node7")
    renewed = await join(farm, told["token"], "node7")
    answer = await farm.client.get("/history?limit=1000")
    actors = {event["actor"] for event in answer.json()["items"]}
    assert {"admin", "operator:alice", "join:join", "agent:node7"} <= actors
    for secret_one in (token, told["token"], renewed.json()["token"]):
        assert secret_one.rpartition("_")[2] not in answer.text


async def test_an_error_and_the_log_never_show_a_token(
    farm: Farm, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    token = await made(farm.client, "viewer")
    answers = [
        await farm.client.post("/jobqueues", json={"name": token}, headers=bearer(token)),
        await farm.client.get("/jobs", headers=bearer(token + "x")),
        await farm.client.get("/nowhere", headers=bearer(token)),
    ]
    shown = capsys.readouterr()
    for text in (*(answer.text for answer in answers), caplog.text, shown.out, shown.err):
        assert token.rpartition("_")[2] not in text


async def test_when_a_token_was_used_is_noted_beside_the_requests(farm: Farm, app: FastAPI) -> None:
    token = await made(farm.client, "viewer")
    assert await get(farm.client, token) == 200
    assert (await farm.get("/tokens"))["items"][0]["last_used_at"] is None
    await note(app.state.engine, app.state.known)
    assert (await farm.get("/tokens"))["items"][0]["last_used_at"] is not None
