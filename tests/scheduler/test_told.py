"""What agents are told of a job is what the job says at that moment, kept or not."""

from typing import Any

import pytest
from fastapi import FastAPI

from app.scheduler import told
from tests.farm import Farm, Json
from tests.scheduler.kept_looks import told_is_true, watching


async def told_job(farm: Farm, hostname: str) -> Json:
    """What an agent is told with its next task, and again when it asks again."""
    first, again = await farm.assign(hostname), await farm.assign(hostname)
    assert first is not None
    assert again is not None
    assert first["job"] == again["job"]
    await farm.finish(hostname)
    job: Json = first["job"]
    return job


def kept(app: FastAPI) -> dict[int, Any]:
    found: dict[int, Any] = app.state.desk._cycles.kept.told._jobs
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"title": "another"},
        {"data": {"a": [1, 1.0, True, None]}},
        {"data": [1.0]},
        {"environ": {"B": "2"}},
        {"cpus": 2},
        {"ram": 64},
        {"batch": 2},
    ],
)
async def test_a_change_of_a_job_is_told_with_its_next_task(
    farm: Farm, app: FastAPI, change: Json
) -> None:
    await farm.job("shot", tasks=9, data=[1], environ={"A": "1"})
    await farm.agent("a0")
    before = await told_job(farm, "a0")
    assert kept(app).keys() == {before["id"]}
    await farm.patch(f"/jobs/{farm.jobs['shot']}", change)
    after = await told_job(farm, "a0")
    assert repr(after) == repr(before | change)  # 1, 1.0 and true are not the same to an agent


async def test_an_agent_that_asks_again_is_told_what_changed_meanwhile(farm: Farm) -> None:
    await farm.job("shot", data=1)
    await farm.agent("a0")
    assert (await farm.assign("a0") or {})["job"]["data"] == 1
    await farm.set_job("shot", data=2)
    assert (await farm.assign("a0") or {})["job"]["data"] == 2


@pytest.mark.parametrize(
    ("queue", "change", "path"),
    [
        ("/films/hero", {"name": "villain"}, "/films/villain"),
        ("/films", {"name": "shows"}, "/shows/hero"),
        ("/films/hero", {"parent": "/"}, "/hero"),
    ],
)
async def test_a_queue_that_has_another_path_is_told_by_it(
    farm: Farm, queue: str, change: Json, path: str
) -> None:
    await farm.queue("/films")
    await farm.queue("/films/hero")
    await farm.job("shot", tasks=3, queue="/films/hero")
    await farm.agent("a0")
    assert (await told_job(farm, "a0"))["queue"] == "/films/hero"
    await farm.set_queue(queue, **change)
    assert (await told_job(farm, "a0"))["queue"] == path


async def test_a_job_that_moves_is_told_with_its_new_queue(farm: Farm) -> None:
    await farm.queue("/films")
    await farm.job("shot", tasks=3)
    await farm.agent("a0")
    assert (await told_job(farm, "a0"))["queue"] is None
    await farm.set_job("shot", queue="/films")
    assert (await told_job(farm, "a0"))["queue"] == "/films"


async def test_of_a_job_that_is_over_or_gone_nothing_is_kept(farm: Farm, app: FastAPI) -> None:
    await farm.agent("a0")
    await farm.job("one", data="one")
    assert (await told_job(farm, "a0"))["data"] == "one"
    assert kept(app) == {}
    await farm.job("two", tasks=3)
    await told_job(farm, "a0")
    assert (await farm.client.delete(f"/jobs/{farm.jobs['two']}")).status_code == 204
    await farm.job("two", tasks=3, data="new")
    assert (await told_job(farm, "a0"))["data"] == "new"
    assert kept(app).keys() == {farm.jobs["two"]}


async def test_what_takes_too_much_room_is_forgotten_and_told_all_the_same(
    farm: Farm, app: FastAPI, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "MOST_BYTES", 1_000)
    await farm.agent("a0")
    sizes = []
    async with watching(database) as witness:
        for number in range(12):
            title = f"job {number}"
            await farm.job(title, tasks=2, data="x" * 300, priority=number)
            assert (await told_job(farm, "a0"))["title"] == title
            sizes.append(len(kept(app)))
            await told_is_true(witness.connection, app.state.desk._cycles.kept)
    assert max(sizes) <= 4
    assert sizes.count(1) > 1  # it began anew
