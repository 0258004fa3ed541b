"""Why a job, a queue or an agent stands as it does, over HTTP."""

from uuid import uuid4

import pytest

from tests.explain.asking import act_on, codes, of_job, why
from tests.farm import Farm

# --- closed to every agent ---


async def test_a_paused_queue_above_is_named_and_the_change_resumes_it(farm: Farm) -> None:
    await farm.queue("/films", paused=True)
    await farm.job("shot", queue="/films")
    await farm.agent("a0")
    found = await of_job(farm, "shot")
    assert codes(found) == ["paused"]
    assert found["sentence"] == "/films is paused"
    assert found["change"]["sentence"] == "resume /films"
    await act_on(farm, found)
    assert await farm.gets("a0") == "shot"


async def test_a_paused_job_is_resumed_by_the_change(farm: Farm) -> None:
    await farm.job("shot")
    await farm.post(f"/jobs/{farm.jobs['shot']}/pause")
    await farm.agent("a0")
    found = await of_job(farm, "shot")
    assert codes(found) == ["paused"]
    await act_on(farm, found)
    assert await farm.gets("a0") == "shot"


async def test_a_full_queue_above_says_its_numbers_and_one_more_is_the_change(farm: Farm) -> None:
    await farm.queue("/films", maximum_agents=1)
    await farm.queue("/films/a")
    await farm.job("shot", tasks=5, queue="/films/a")
    await farm.agent("a0")
    await farm.agent("a1")
    assert await farm.gets("a0") == "shot"
    found = await of_job(farm, "shot")
    assert found["sentence"] == "/films has its maximum: 1 of 1 agents"
    assert found["change"]["body"] == {"maximum_agents": 2}
    await act_on(farm, found)
    assert await farm.gets("a1") == "shot"


async def test_all_that_is_in_the_way_is_told_and_no_single_change_then(farm: Farm) -> None:
    await farm.queue("/films", paused=True)
    await farm.job("first")
    await farm.job("shot", queue="/films", parents=[farm.jobs["first"]], maximum_agents=0)
    await farm.agent("a0")
    found = await of_job(farm, "shot")
    assert codes(found)[:3] == ["waits_for_jobs", "paused", "closed"]
    assert found["reasons"][0]["jobs"] == [farm.jobs["first"]]
    assert found["change"] is None


async def test_a_parent_that_failed_is_told_as_such(farm: Farm) -> None:
    await farm.job("first", requeue=0)
    await farm.job("shot", parents=[farm.jobs["first"]])
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.fail("a0")
    found = await of_job(farm, "shot")
    assert codes(found)[0] == "parent_failed"
    assert f"job {farm.jobs['first']}, which failed" in found["sentence"]


async def test_a_job_whose_tasks_are_all_out_says_so(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    await farm.assign("a0")
    found = await of_job(farm, "shot")
    assert codes(found)[0] == "all_tasks_out"
    assert found["assigned_agents"] == 1


@pytest.mark.parametrize("end", ["done", "failed"])
async def test_a_job_that_is_over_says_how_it_ended(farm: Farm, end: str) -> None:
    await farm.job("shot", requeue=0)
    await farm.agent("a0")
    await farm.assign("a0")
    await (farm.finish("a0") if end == "done" else farm.fail("a0"))
    assert codes(await of_job(farm, "shot")) == [end]


# --- the walk ---


async def test_each_step_has_the_numbers_of_the_shares(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.queue("/tv")
    await farm.job("film", tasks=9, queue="/films")
    await farm.job("episode", tasks=9, queue="/tv")
    for number in range(3):
        await farm.agent(f"a{number}")
    for number in range(3):
        await farm.assign(f"a{number}")
    await farm.agent("idle")
    found = await of_job(farm, "film", agent_id=farm.agents["idle"])
    step = found["walk"][0]
    assert (step["candidates"], step["place"], step["rule"]) == (2, 2, "share")
    assert step["other"]["name"] == "/tv"
    numbers = [
        (one["node"]["name"], one["assigned_agents"], one["weight"], one["owed"])
        for one in step["in_turn"]
    ]
    assert numbers == [("/tv", 1, 10, False), ("/films", 2, 10, False)]
    assert step["sentence"] == "/tv goes before /films: its share is smaller, 1/10 against 2/10"
    assert [one["node"]["name"] for one in found["walk"]] == ["/films", "film"]


async def test_a_job_that_is_next_says_who_gets_it(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    found = await of_job(farm, "shot")
    assert codes(found) == ["next"]
    assert found["sentence"].startswith("a0 gets work of job ")


# --- queues ---


async def test_a_queue_in_which_nothing_is_open_says_what_keeps_its_jobs(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.job("one", queue="/films", paused=False, maximum_agents=0)
    await farm.job("two", queue="/films", maximum_agents=0)
    await farm.agent("a0")
    found = await why(farm, f"/jobqueues/{farm.queues['/films']}")
    assert found["sentence"] == ("nothing in /films can go out; jobs: 2 closed by a maximum of 0")


async def test_an_empty_queue_says_that_there_is_nothing_to_do(farm: Farm) -> None:
    await farm.queue("/films")
    found = await why(farm, f"/jobqueues/{farm.queues['/films']}")
    assert found["reasons"][0]["code"] == "nothing_open"
    assert found["sentence"] == "/films has no job with a task left to do"


async def test_a_queue_that_is_passed_over_says_by_which_rule(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.queue("/tv", minimum_agents=3)
    await farm.job("film", queue="/films", tasks=9)
    await farm.job("episode", queue="/tv", tasks=9)
    await farm.agent("a0")
    found = await why(farm, f"/jobqueues/{farm.queues['/films']}")
    assert codes(found) == ["minimum_first"]
    await act_on(farm, found)
    assert await farm.gets("a0") == "film"


@pytest.mark.parametrize("asked", [False, True])
async def test_a_queue_whose_work_fits_no_agent_says_so(farm: Farm, asked: bool) -> None:
    await farm.queue("/films")
    await farm.job("shot", queue="/films", required_tags=["gpu"])
    await farm.agent("a0")
    params = {"agent_id": farm.agents["a0"]} if asked else {}
    found = await why(farm, f"/jobqueues/{farm.queues['/films']}", **params)
    assert codes(found) == ["no_agent_fits"]


# --- agents ---


async def test_an_idle_agent_says_what_it_would_get_and_the_walk(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.job("shot", queue="/films")
    await farm.agent("a0")
    found = await why(farm, f"/agents/{farm.agents['a0']}")
    assert found["gets"]["name"] == "shot"
    assert [step["place"] for step in found["walk"]] == [1, 1]


async def test_an_agent_for_which_nothing_is_open_says_what_keeps_it_from_each(
    farm: Farm,
) -> None:
    await farm.agent("a0")
    await farm.job("needs gpu", required_tags=["gpu"])
    await farm.job("needs gpu too", required_tags=["gpu"])
    await farm.job("closed", maximum_agents=0)
    found = await why(farm, f"/agents/{farm.agents['a0']}")
    assert [reason["sentence"] for reason in found["reasons"]] == [
        "2 jobs asking for the tags gpu",
        "1 job closed by a maximum of 0",
    ]


async def test_a_busy_agent_says_what_it_works_on(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    await farm.assign("a0")
    assert codes(await why(farm, f"/agents/{farm.agents['a0']}")) == ["agent_busy"]


# --- what is not there ---


@pytest.mark.parametrize("path", ["/jobs/999", "/jobqueues/999", "/assignments/999"])
async def test_what_is_not_there_is_a_404(farm: Farm, path: str) -> None:
    assert (await farm.client.get(f"{path}/explain")).status_code == 404


async def test_an_agent_that_is_not_there_is_a_404(farm: Farm) -> None:
    await farm.job("shot")
    nobody = uuid4()
    assert (await farm.client.get(f"/agents/{nobody}/explain")).status_code == 404
    path = f"/jobs/{farm.jobs['shot']}/explain"
    assert (await farm.client.get(path, params={"agent_id": str(nobody)})).status_code == 404


async def test_those_that_could_do_it_and_are_away_are_counted(farm: Farm) -> None:
    for name, tags in (("plain", []), ("old", ["gpu"]), ("new", ["gpu"]), ("broken", ["gpu"])):
        await farm.agent(name, tags=tags)
    for name, state in (("old", "draining"), ("new", "draining"), ("broken", "disabled")):
        await farm.patch(f"/agents/{farm.agents[name]}", {"state": state})
    await farm.job("shot", required_tags=["gpu"])
    found = await of_job(farm, "shot")
    assert [reason["sentence"] for reason in found["reasons"]] == [
        "without the tag gpu: 1 of 1 agents",
        "2 that could do it are draining",
        "1 agent that could do it is disabled",
    ]
    assert codes(found) == ["tags_missing", "agent_draining", "agent_disabled"]
    await farm.agent("third", tags=["gpu"])
    assert codes(await of_job(farm, "shot")) == ["next", "tags_missing"]


async def test_one_that_drains_and_works_counts_with_the_memory_that_it_will_have(
    farm: Farm,
) -> None:
    await farm.agent("large", ram=64_000)
    await farm.agent("small")
    await farm.job("now", ram=60_000)
    await farm.assign("large")
    await farm.patch(f"/agents/{farm.agents['large']}", {"state": "draining"})
    await farm.client.post(f"/agents/{farm.agents['large']}/heartbeat", json={"free_ram": 4_000})
    await farm.job("next", ram=60_000)
    assert codes(await of_job(farm, "next")) == ["too_little_memory", "agent_draining"]
