"""Agents: how they become known, live, are drained or disabled, and go."""

import asyncio
from datetime import datetime
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.db.engine import lock_farm
from app.main import create_app
from app.policy.states import AgentState, Mode, agent_state
from app.settings import Settings
from tests.api.hints import hints
from tests.conftest import execute
from tests.farm import Farm, Json
from tests.tokens import AUTH


@pytest.fixture
def settings() -> Settings:
    """Leases of a minute, which nobody takes back by himself."""
    return Settings(lease_seconds=60, reap_seconds=3600)


async def see(farm: Farm, hostname: str) -> Json:
    return await farm.get(f"/agents/{farm.agents[hostname]}")


# --- becoming known ---


async def test_an_agent_has_the_documented_fields_and_defaults(farm: Farm) -> None:
    made = await farm.post("/agents", {"hostname": "node042"})
    assert made == {
        "id": made["id"],
        "hostname": "node042",
        "port": None,
        "cpus": 1,
        "ram": 1024,
        "free_ram": 1024,
        "tags": [],
        "version": None,
        "state": "online",
        "last_seen": made["last_seen"],
        "lease_expires_at": made["lease_expires_at"],
        "time_registered": made["time_registered"],
        "joined_with": None,
        "job_queue_id": None,
        "assignment": None,
        "heartbeat_seconds": 20,
        "token": None,
        "token_seconds": None,
    }
    assert UUID(made["id"])
    for name in ("heartbeat_seconds", "token", "token_seconds"):
        made.pop(name)
    assert await farm.get(f"/agents/{made['id']}") == made


async def test_a_lease_is_stamped_by_the_clock_of_the_database(farm: Farm) -> None:
    made = await farm.post("/agents", {"hostname": "node042"})
    seen, expires = (datetime.fromisoformat(made[at]) for at in ("last_seen", "lease_expires_at"))
    assert abs((expires - seen).total_seconds() - 60) < 0.5


async def test_every_field_that_is_sent_is_kept(farm: Farm) -> None:
    sent = {
        "id": str(uuid4()),
        "hostname": "node042",
        "port": 7001,
        "cpus": 16,
        "ram": 65536,
        "free_ram": 30000,
        "tags": ["gpu", "linux"],
        "version": "0.1.0",
    }
    made = await farm.client.post("/agents", json=sent)
    assert made.status_code == 201
    assert {name: made.json()[name] for name in sent} == sent


BAD: dict[str, list[dict[str, Any]]] = {
    "id": [{"id": "node"}, {"id": 7}],
    "hostname": [
        {"hostname": ""},
        {"hostname": "a" * 256},
        {"hostname": "a\0"},
        {"hostname": None},
    ],
    "port": [{"port": 0}, {"port": 65_536}, {"port": "7001"}],
    "cpus": [{"cpus": -1}, {"cpus": 1.5}, {"cpus": 2**31}],
    "ram": [{"ram": -1}, {"ram": 2**64}],
    "free_ram": [{"free_ram": -1}, {"free_ram": "5"}],
    "tags": [{"tags": "gpu"}, {"tags": ["t"] * 101}],
    "tags.0": [{"tags": [""]}, {"tags": ["a\0"]}],
    "version": [{"version": "v" * 256}],
    "nonsense": [{"nonsense": 1}],
}


async def test_a_wrong_field_is_named_and_nothing_is_stored(client: httpx.AsyncClient) -> None:
    for field, wrongs in BAD.items():
        for wrong in wrongs:
            refused = await client.post("/agents", json={"hostname": "node042"} | wrong)
            assert refused.status_code == 422, wrong
            assert refused.headers["content-type"] == "application/problem+json"
            assert [error["field"] for error in refused.json()["errors"]] == [field], wrong
    headers = {"content-type": "application/json"}
    body = '{"hostname": "node042", "ram": NaN}'
    assert (await client.post("/agents", content=body, headers=headers)).status_code == 422
    assert (await client.get("/agents")).json() == {"items": [], "next": None}


ID, OTHER_ID = str(uuid4()), str(uuid4())

SAME: dict[str, tuple[Json, Json]] = {
    "its id": ({"id": ID, "hostname": "a"}, {"id": ID, "hostname": "a"}),
    "its id, renamed": ({"id": ID, "hostname": "a"}, {"id": ID, "hostname": "b", "port": 1}),
    "its address": ({"hostname": "a", "port": 1}, {"hostname": "a", "port": 1}),
    "its address, under a new id": (
        {"id": ID, "hostname": "a", "port": 1},
        {"id": OTHER_ID, "hostname": "a", "port": 1},
    ),
    "its host alone": ({"hostname": "a"}, {"hostname": "a"}),
}

OTHER: dict[str, tuple[Json, Json]] = {
    "no id where there was one": ({"id": ID, "hostname": "a"}, {"hostname": "a"}),
    "another id": ({"id": ID, "hostname": "a"}, {"id": OTHER_ID, "hostname": "a"}),
    "another port": ({"hostname": "a", "port": 1}, {"hostname": "a", "port": 2}),
    "another host": ({"hostname": "a", "port": 1}, {"hostname": "b", "port": 1}),
    "a port where there was none": ({"hostname": "a"}, {"hostname": "a", "port": 1}),
    "no port where there was one": ({"hostname": "a", "port": 1}, {"hostname": "a"}),
}


async def registered_after_each_other(
    client: httpx.AsyncClient, first: Json, second: Json
) -> tuple[list[int], set[str]]:
    """The statuses of the two answers, and the ids they have."""
    answers = [await client.post("/agents", json=body) for body in (first, second)]
    ids = {answer.json()["id"] for answer in answers}
    for agent_id in ids:
        await client.delete(f"/agents/{agent_id}")
    return [answer.status_code for answer in answers], ids


async def test_an_agent_is_known_by_its_id_or_its_address_or_its_host_alone(
    client: httpx.AsyncClient,
) -> None:
    for why, (first, second) in SAME.items():
        statuses, ids = await registered_after_each_other(client, first, second)
        assert (statuses, len(ids)) == ([201, 200], 1), why
    for why, (first, second) in OTHER.items():
        statuses, ids = await registered_after_each_other(client, first, second)
        assert (statuses, len(ids)) == ([201, 201], 2), why


async def test_a_known_agent_has_its_new_facts_and_keeps_its_age(farm: Farm) -> None:
    first = await farm.agent("a0", port=1, tags=["gpu"], version="1", free_ram=5)
    again = await farm.post(
        "/agents", {"id": first["id"], "hostname": "a1", "port": 2, "cpus": 2, "ram": 64}
    )
    kept = {name: first[name] for name in ("id", "time_registered", "state", "assignment")}
    assert {name: again[name] for name in kept} == kept
    assert (again["hostname"], again["port"], again["cpus"]) == ("a1", 2, 2)
    assert (again["ram"], again["free_ram"], again["tags"], again["version"]) == (64, 64, [], None)
    assert again["lease_expires_at"] > first["lease_expires_at"]


async def test_an_agent_that_registers_again_still_holds_its_work(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    again = await farm.agent("a0")
    assert again["assignment"]["id"] == held["id"]
    assert await farm.assign("a0") is not None


async def test_the_address_of_another_agent_is_taken(farm: Farm) -> None:
    await farm.agent("a0", port=1)
    other = await farm.agent("a1", port=1)
    refused = await farm.client.post(
        "/agents", json={"id": other["id"], "hostname": "a0", "port": 1}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_address_taken")
    assert (await see(farm, "a1"))["hostname"] == "a1"


async def test_of_equal_registrations_at_the_same_instant_one_makes_the_agent(
    client: httpx.AsyncClient,
) -> None:
    for body in ({"hostname": "a"}, {"hostname": "a", "port": 1}, {"hostname": "a", "id": ID}):
        answers = await asyncio.gather(*(client.post("/agents", json=body) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1


async def test_registering_brings_an_agent_back_but_not_over_an_operators_word(farm: Farm) -> None:
    for state, after in {
        "offline": "online",
        "draining": "draining",
        "disabled": "disabled",
    }.items():
        await farm.agent(state)
        await farm.set_agent(state, state=state)
        assert (await farm.agent(state))["state"] == after


# --- reading ---


async def test_lists_are_pages_in_order_of_id(farm: Farm) -> None:
    ids = sorted([(await farm.agent(hostname))["id"] for hostname in "abcde"])
    first = await farm.get("/agents?limit=2")
    assert [agent["id"] for agent in first["items"]] == ids[:2]
    rest = await farm.get(f"/agents?limit=3&cursor={first['next']}")
    assert [agent["id"] for agent in rest["items"]] == ids[2:]
    assert rest["next"] is None


async def test_agents_are_found_by_host(farm: Farm) -> None:
    await farm.agent("a", port=1)
    await farm.agent("b", port=1)
    assert [agent["hostname"] for agent in (await farm.get("/agents?hostname=b"))["items"]] == ["b"]
    assert (await farm.get("/agents?hostname=c"))["items"] == []
    for query in ("hostname=", "state=asleep", "cursor=1", "limit=1001"):
        assert (await farm.client.get(f"/agents?{query}")).status_code == 422


async def test_agents_are_found_by_state_as_the_policy_tells_it(farm: Farm, database: str) -> None:
    combinations = list(product(Mode, (False, True)))
    for mode, online in combinations:
        hostname = f"{mode} {online}"
        await farm.agent(hostname)
        await execute(
            database,
            f"UPDATE agents SET mode = '{mode}', online = {online} WHERE hostname = '{hostname}'",  # noqa: S608
        )
    expected = {
        f"{mode} {online}": agent_state(mode, online=online) for mode, online in combinations
    }
    assert set(expected.values()) == set(AgentState)
    for state in AgentState:
        found = (await farm.get(f"/agents?state={state}"))["items"]
        assert {agent["state"] for agent in found} == {state}
        assert {agent["hostname"] for agent in found} == {
            hostname for hostname, told in expected.items() if told == state
        }


async def test_an_agent_shows_what_it_works_on(farm: Farm) -> None:
    await farm.job("shot", tasks=4, batch=2)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    [listed] = (await farm.get("/agents"))["items"]
    shown = (await see(farm, "a0"))["assignment"]
    assert listed["assignment"] == shown
    assert shown == {
        "id": held["id"],
        "job_id": farm.jobs["shot"],
        "title": "shot",
        "task_ids": [task["id"] for task in held["tasks"]],
        "started_at": shown["started_at"],
    }
    await farm.finish("a0")
    assert (await see(farm, "a0"))["assignment"] is None


async def test_an_agent_that_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/heartbeat")):
        body: Json | None = {} if method == "PATCH" else None
        gone = await client.request(method, f"/agents/{uuid4()}{path}", json=body)
        assert (gone.status_code, gone.json()["code"]) == (404, "agent_not_found")
        strange = await client.request(method, f"/agents/node042{path}", json=body)
        assert strange.status_code == 422


# --- changing ---


async def test_a_patch_changes_what_it_names_and_nothing_else(farm: Farm) -> None:
    await farm.agent("a0", ram=1000, free_ram=500, version="1")
    shown = await see(farm, "a0")
    changes: list[tuple[Json, Json]] = [
        ({"cpus": 0}, {}),
        ({"free_ram": 900}, {}),
        ({"ram": 800}, {}),
        ({"tags": ["b", "a"]}, {"tags": ["a", "b"]}),
        ({"version": None}, {}),
        ({"state": "draining"}, {}),
        ({"state": "online"}, {}),
        ({}, {}),
    ]
    for change, follows in changes:
        shown |= change | follows
        assert await farm.set_agent("a0", **change) == shown


async def test_a_wrong_change_is_refused_and_changes_nothing(farm: Farm) -> None:
    await farm.agent("a0", ram=1000)
    shown = await see(farm, "a0")
    wrongs: list[tuple[str, Json]] = [
        ("free_ram", {"free_ram": -1}),
        ("ram", {"ram": None}),
        ("cpus", {"cpus": -1}),
        ("tags", {"tags": None}),
        ("state", {"state": "asleep"}),
        ("state", {"state": None}),
        ("hostname", {"hostname": "b"}),
    ]
    for field, wrong in wrongs:
        url = f"/agents/{farm.agents['a0']}"
        refused = await farm.client.patch(url, json=wrong)
        assert refused.status_code == 422, wrong
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert await see(farm, "a0") == shown


async def test_a_draining_agent_finishes_what_it_has_and_gets_nothing_new(farm: Farm) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    await farm.assign("a0")
    assert (await farm.set_agent("a0", state="draining"))["assignment"] is not None
    assert (await farm.heartbeat("a0"))["stop"] == []
    await farm.finish("a0")
    assert await farm.assign("a0") is None
    await farm.set_agent("a0", state="online")
    assert await farm.gets("a0") == "shot"


@pytest.mark.parametrize("state", ["disabled", "offline"])
async def test_an_agent_told_to_stop_gives_its_work_back(farm: Farm, state: str) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    shown = await farm.set_agent("a0", state=state)
    assert (shown["state"], shown["assignment"]) == (state, None)
    assert (await farm.see_job("shot"))["tasks"]["waiting"] == 2
    ended = (await farm.get(f"/history?assignment_id={held['id']}"))["items"][1]
    assert ended["detail"]["because"] == f"agent_{state}"


async def test_an_offline_agent_has_no_lease_and_is_online_when_it_calls(farm: Farm) -> None:
    await farm.agent("a0")
    assert (await farm.set_agent("a0", state="offline"))["lease_expires_at"] is None
    assert (await farm.set_agent("a0", state="online"))["state"] == "offline"
    called = await farm.heartbeat("a0")
    assert (called["state"], called["lease_expires_at"] is None) == ("online", False)
    told = (await farm.get(f"/history?agent_id={farm.agents['a0']}"))["items"]
    assert [row["action"] for row in told] == [
        "agent.registered",
        "agent.changed",
        "agent.returned",
    ]


async def test_the_history_tells_what_was_changed_from_and_to(farm: Farm) -> None:
    await farm.agent("a0", tags=["a"])
    await farm.set_agent("a0", state="disabled", tags=["b"], cpus=8)
    await farm.set_agent("a0", state="disabled", tags=["b"])
    told = (await farm.get(f"/history?agent_id={farm.agents['a0']}"))["items"]
    assert [row["action"] for row in told] == ["agent.registered", "agent.changed"]
    assert told[1]["detail"] == {
        "from": {"mode": "enabled", "tags": ["a"]},
        "to": {"mode": "disabled", "tags": ["b"]},
    }


# --- heartbeats ---


async def test_a_heartbeat_renews_the_lease_and_says_how_soon_to_call_again(farm: Farm) -> None:
    await farm.agent("a0")
    before = await see(farm, "a0")
    called = await farm.post(f"/agents/{farm.agents['a0']}/heartbeat")
    after = await see(farm, "a0")
    assert called == {
        "heartbeat_seconds": 20,
        "lease_seconds": 60,
        "lease_expires_at": after["lease_expires_at"],
        "state": "online",
        "stop": [],
    }
    assert after["lease_expires_at"] > before["lease_expires_at"]
    assert after["last_seen"] > before["last_seen"]


async def test_a_heartbeat_takes_no_farm_lock_unless_the_agent_comes_back(database: str) -> None:
    app = create_app(Settings(lock_timeout_seconds=0.2), database)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(headers=AUTH, transport=transport, base_url="http://farm") as client,
    ):
        farm = Farm(client)
        await farm.agent("here")
        await farm.agent("away")
        await farm.set_agent("away", state="offline")
        async with app.state.engine.begin() as deciding:
            await lock_farm(deciding)
            await farm.heartbeat("here", free_ram=5)
            away = f"/agents/{farm.agents['away']}"
            assert (await client.post(f"{away}/heartbeat")).status_code == 503
            for edit in (
                client.post("/agents", json={"hostname": "new"}),
                client.patch(away, json={"state": "draining"}),
                client.delete(away),
            ):
                assert (await edit).status_code == 503
        assert (await see(farm, "away"))["state"] == "offline"


async def test_free_memory_is_as_last_said_whichever_call_says_it(farm: Farm) -> None:
    await farm.agent("a0", ram=1000)
    for said, kept in ((300, 300), (None, 300), (5000, 5000), (0, 0)):
        fields = {} if said is None else {"free_ram": said}
        for say in (farm.heartbeat, farm.ask):
            await say("a0", **fields)
            assert (await see(farm, "a0"))["free_ram"] == kept
    await farm.set_agent("a0", state="offline")
    await farm.heartbeat("a0", free_ram=500)
    assert (await see(farm, "a0"))["free_ram"] == 500


async def test_a_wrong_heartbeat_is_refused(farm: Farm) -> None:
    await farm.agent("a0")
    url = f"/agents/{farm.agents['a0']}/heartbeat"
    for field, wrong in {"free_ram": -1, "assignment_id": 0, "nonsense": 1}.items():
        refused = await farm.client.post(url, json={field: wrong})
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_an_agent_learns_what_was_taken_back_until_it_asks_again(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    stopped = await farm.assign("a0")
    assert stopped is not None
    await farm.post(f"/jobs/{farm.jobs['shot']}/pause", {"stop": True})
    for _ in range(2):
        assert (await farm.heartbeat("a0"))["stop"] == [stopped["id"]]
    await farm.assign("a0")
    assert (await farm.heartbeat("a0"))["stop"] == []


async def test_what_it_finished_or_gave_back_itself_is_not_to_be_stopped(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    assert (await farm.heartbeat("a0"))["stop"] == []
    held = await farm.assign("a0")
    assert held is not None
    await farm.post(f"/assignments/{held['id']}/release")
    assert (await farm.heartbeat("a0"))["stop"] == []


async def test_an_agent_that_says_it_works_on_what_is_not_its_own_is_to_stop(farm: Farm) -> None:
    await farm.job("shot", tasks=3)
    for hostname in ("a0", "a1"):
        await farm.agent(hostname)
        await farm.assign(hostname)
    mine, other = farm.held["a0"]["id"], farm.held["a1"]["id"]
    assert (await farm.heartbeat("a0", assignment_id=mine))["stop"] == []
    assert (await farm.heartbeat("a0", assignment_id=other))["stop"] == [other]
    assert (await farm.heartbeat("a0", assignment_id=4711))["stop"] == [4711]
    await farm.finish("a0")
    assert (await farm.heartbeat("a0", assignment_id=mine))["stop"] == [mine]


async def test_a_disabled_agent_is_answered_and_stays_disabled(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    await farm.set_agent("a0", state="disabled")
    called = await farm.heartbeat("a0")
    assert (called["state"], called["stop"]) == ("disabled", [held["id"]])
    await farm.set_agent("a0", state="offline")
    assert (await farm.heartbeat("a0"))["state"] == "disabled"


# --- going ---


async def test_a_deleted_agent_is_gone_and_its_work_waits_again(farm: Farm) -> None:
    await farm.job("shot", tasks=2)
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.finish("a0")
    held = await farm.assign("a0")
    assert held is not None
    url = f"/agents/{farm.agents['a0']}"
    answers = await asyncio.gather(*(farm.client.delete(url) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [204, 204, 204]
    assert (await farm.client.get(url)).status_code == 404
    assert (await farm.see_job("shot"))["tasks"] == {
        "waiting": 1, "running": 0, "done": 1, "failed": 0,
    }  # fmt: skip
    told = (await farm.get(f"/history?agent_id={farm.agents['a0']}"))["items"]
    assert [row["action"] for row in told].count("agent.deleted") == 1
    ended = [row["detail"]["because"] for row in told if row["action"] == "assignment.ended"]
    assert ended == ["agent_deleted"]


async def test_whatever_changes_what_may_run_is_hinted_at_once(farm: Farm, database: str) -> None:
    async with hints(database) as heard:
        await farm.agent("a0", port=1)
        assert await heard() == 1
        await farm.agent("a0", port=1)
        await farm.heartbeat("a0")
        assert await heard() == 0, "it only lives"
        await farm.heartbeat("a0", free_ram=5)
        assert await heard() == 1
        for change in ({"tags": ["gpu"]}, {"state": "draining"}, {"state": "offline"}):
            await farm.set_agent("a0", **change)
            assert await heard() == 1, change
        await farm.heartbeat("a0")
        assert await heard() == 1
        await farm.client.delete(f"/agents/{farm.agents['a0']}")
        assert await heard() == 1
