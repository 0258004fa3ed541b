"""Why an assignment was made, over HTTP."""

from tests.explain.asking import why
from tests.farm import Farm
from tests.tokens import bearer, made


async def test_an_assignment_keeps_the_walk_of_its_moment(farm: Farm) -> None:
    await farm.queue("/films", weight=20)
    await farm.queue("/tv")
    await farm.job("film", queue="/films", tasks=9)
    await farm.job("episode", queue="/tv", tasks=9)
    await farm.agent("a0")
    await farm.agent("a1")
    await farm.assign("a0")
    second = await farm.assign("a1")
    assert second is not None
    await farm.set_queue("/tv", name="shows", weight=99)
    found = await why(farm, f"/assignments/{second['id']}")
    first, last = found["walk"]
    assert (first["node"]["name"], first["other"]["name"]) == ("/shows", "/films")
    assert (first["rule"], first["weight"], first["assigned_agents"]) == ("share", 10, 0)
    assert first["sentence"] == (
        "/shows goes before /films: its share is smaller, 0/10 against 1/20"
    )
    assert (last["node"]["name"], last["rule"]) == ("episode", None)
    assert found["job"]["name"] == "episode"
    assert found["agent"]["hostname"] == "a1"


async def test_an_assignment_outlives_its_job_and_says_why_all_the_same(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    await farm.finish("a0")
    assert (await farm.client.delete(f"/jobs/{farm.jobs['shot']}")).status_code == 204
    found = await why(farm, f"/assignments/{held['id']}")
    assert found["walk"][0]["node"] == {"kind": "job", "id": farm.jobs["shot"], "name": "deleted"}


async def test_the_walk_of_an_agent_that_is_bound_to_a_queue_begins_there(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.queue("/films/a")
    await farm.job("shot", queue="/films/a")
    token = await made(farm.client, "join", job_queue_id=farm.queues["/films"])
    joined = await farm.client.post("/agents", json={"hostname": "a0"}, headers=bearer(token))
    farm.agents["a0"] = joined.json()["id"]
    held = await farm.assign("a0")
    assert held is not None
    await farm.set_queue("/films", name="movies")
    walk = (await why(farm, f"/assignments/{held['id']}"))["walk"]
    assert walk[0]["queue"] == {"kind": "queue", "id": farm.queues["/films"], "name": "/movies"}
    assert [step["node"]["name"] for step in walk] == ["/movies/a", "shot"]
    for path in ("/films/a", "/films"):
        await farm.set_job("shot", job_queue_id=None)
        gone = await farm.client.delete(f"/jobqueues/{farm.queues[path]}")
        assert gone.status_code == 204, gone.text
    walk = (await why(farm, f"/assignments/{held['id']}"))["walk"]
    assert walk[0]["queue"]["name"] == "deleted"
