"""Why no agent does a job or what is in a queue: what agents lack, and who may work."""

import pytest

from tests.explain.asking import act_on, codes, of_job, why
from tests.farm import Farm


async def test_no_agent_online_is_a_reason(farm: Farm) -> None:
    await farm.job("shot")
    assert codes(await of_job(farm, "shot")) == ["no_agents_online"]


async def test_what_agents_lack_is_counted_and_the_change_is_for_one_that_is_idle(
    farm: Farm,
) -> None:
    for number in range(3):
        await farm.agent(f"a{number}", tags=["linux"])
    await farm.agent("small", tags=["linux", "gpu"], ram=2000)
    await farm.job("shot", required_tags=["gpu"], ram=4000)
    found = await of_job(farm, "shot")
    told = {reason["code"]: reason for reason in found["reasons"]}
    assert told["tags_missing"]["sentence"] == "without the tag gpu: 3 of 4 agents"
    assert told["tags_missing"]["tags"] == ["gpu"]
    assert told["too_little_memory"]["sentence"] == "less than 4000 MB free: 1 of 4 agents"
    assert found["agent"] is None
    assert (found["change"]["body"], found["change"]["at_once"]) == ({"ram": 2000}, True)
    await act_on(farm, found)
    assert await farm.gets("small") == "shot"


async def rendering(farm: Farm, **asked: int) -> None:
    """Two agents of 64,000 MB that work, and have 4,000 free meanwhile."""
    await farm.job("render", tasks=9, **asked)
    for hostname in ("a0", "a1"):
        await farm.agent(hostname, ram=64_000)
        assert await farm.gets(hostname) == "render"
        await farm.heartbeat(hostname, free_ram=4_000)


async def test_memory_that_a_busy_agents_work_takes_is_no_lack(farm: Farm) -> None:
    await farm.queue("/films")
    await rendering(farm, ram=40_000, priority=1)
    await farm.job("shot", queue="/films", ram=32_000)
    for found in (
        await of_job(farm, "shot"),
        await why(farm, f"/jobqueues/{farm.queues['/films']}"),
    ):
        assert codes(found) == ["all_agents_busy", "priority"]
        assert found["sentence"] == "all 2 that can do it are busy"
        assert found["change"]["body"] == {"priority": 1}
        assert found["change"]["at_once"] is False
    one = await of_job(farm, "shot", agent_id=farm.agents["a0"])
    assert codes(one) == ["agent_busy", "priority"]


async def test_no_change_is_named_by_what_busy_agents_have_free_meanwhile(farm: Farm) -> None:
    await rendering(farm)
    await farm.job("shot", ram=32_000)
    found = await of_job(farm, "shot")
    assert (codes(found), found["change"]) == (["too_little_memory"], None)


async def test_a_job_that_asks_more_than_busy_agents_have_in_all_is_told_how_much(
    farm: Farm,
) -> None:
    await rendering(farm, ram=60_000)
    await farm.job("shot", ram=80_000, priority=1)
    found = await of_job(farm, "shot")
    assert codes(found) == ["too_little_memory"]
    assert (found["change"]["body"], found["change"]["at_once"]) == ({"ram": 64_000}, False)
    await act_on(farm, found)
    await farm.finish("a0")
    assert await farm.gets("a0", free_ram=64_000) == "shot"


async def test_busy_agents_are_told_and_who_goes_first_when_one_is_free(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.job("urgent", tasks=5, priority=5)
    await farm.job("shot", queue="/films")
    await farm.agent("a0")
    assert await farm.gets("a0") == "urgent"
    found = await of_job(farm, "shot")
    assert codes(found) == ["all_agents_busy", "priority"]
    urgent = f"job {farm.jobs['urgent']} 'urgent'"
    assert found["reasons"][1]["sentence"] == f"{urgent} goes before /films: priority 5 against 0"
    assert found["change"]["at_once"] is False
    await act_on(farm, found)
    await farm.finish("a0")
    assert await farm.gets("a0") == "shot"


async def test_where_all_lack_something_and_are_busy_the_change_is_to_ask_less(farm: Farm) -> None:
    await farm.agent("a0", tags=["linux"])
    await farm.job("other")
    await farm.job("shot", required_tags=["gpu"])
    assert await farm.gets("a0") == "other"
    found = await of_job(farm, "shot")
    assert codes(found) == ["tags_missing"]
    assert (found["change"]["body"], found["change"]["at_once"]) == ({"required_tags": []}, False)
    await act_on(farm, found)
    await farm.finish("a0")
    assert await farm.gets("a0") == "shot"


async def test_the_numbers_of_a_busy_agents_walk_are_those_after_its_work(farm: Farm) -> None:
    await farm.queue("/films", maximum_agents=1)
    await farm.queue("/tv")
    await farm.job("film", queue="/films", tasks=5)
    await farm.job("episode", queue="/tv", tasks=5)
    await farm.agent("a0")
    assert await farm.gets("a0") == "film"
    found = await of_job(farm, "film", agent_id=farm.agents["a0"])
    assert "share" not in found["walk"][0]["sentence"]
    assert found["walk"][0]["rule"] == "older"


async def test_one_agent_can_be_asked_for(farm: Farm) -> None:
    await farm.agent("a0", cpus=2)
    await farm.agent("a1")
    await farm.job("shot", cpus=4)
    found = await of_job(farm, "shot", agent_id=farm.agents["a0"])
    assert found["sentence"] == "fewer than 4 cpus: a0"
    assert found["agent"] == {"id": farm.agents["a0"], "hostname": "a0"}
    assert codes(await of_job(farm, "shot", agent_id=farm.agents["a1"])) == ["next"]


@pytest.mark.parametrize("state", ["disabled", "draining", "offline"])
async def test_an_agent_that_may_not_work_is_told_so_and_gets_nothing(
    farm: Farm, state: str
) -> None:
    await farm.queue("/films")
    await farm.agent("a0")
    await farm.job("shot", queue="/films")
    await farm.set_agent("a0", state=state)
    params = {"agent_id": farm.agents["a0"]}
    for found in (
        await of_job(farm, "shot", **params),
        await why(farm, f"/jobqueues/{farm.queues['/films']}", **params),
    ):
        assert (codes(found), found["change"]) == ([f"agent_{state}"], None)
        assert found["agent"]["hostname"] == "a0"
    assert codes(await why(farm, f"/agents/{farm.agents['a0']}")) == [f"agent_{state}"]
    await farm.post(f"/jobs/{farm.jobs['shot']}/pause")
    found = await of_job(farm, "shot", **params)
    assert (codes(found), found["change"]) == ([f"agent_{state}", "paused"], None)


async def test_an_agent_that_drains_and_works_gets_nothing_once_it_is_free(farm: Farm) -> None:
    await farm.agent("a0")
    await farm.job("shot", tasks=2)
    assert await farm.gets("a0") == "shot"
    await farm.set_agent("a0", state="draining")
    found = await of_job(farm, "shot", agent_id=farm.agents["a0"])
    assert (codes(found), found["change"]) == (["agent_draining", "agent_busy"], None)
    assert codes(await why(farm, f"/agents/{farm.agents['a0']}")) == codes(found)


async def test_where_all_agents_that_are_online_drain_that_is_said(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.job("shot", queue="/films")
    for number, sentence in enumerate(
        (
            "the one agent that is online is draining: nothing new goes out",
            "all 2 agents online are draining: nothing new goes out",
        )
    ):
        await farm.agent(f"a{number}")
        await farm.set_agent(f"a{number}", state="draining")
        for found in (
            await of_job(farm, "shot"),
            await why(farm, f"/jobqueues/{farm.queues['/films']}"),
        ):
            assert codes(found) == ["agent_draining"]
            assert found["sentence"] == sentence
            assert found["reasons"][0]["agents"] == number + 1
