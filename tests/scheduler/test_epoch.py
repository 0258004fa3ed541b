"""A database that comes from a backup begins anew: no id of the time that is lost comes again."""

import pytest
from fastapi import FastAPI

from app.main import create_app
from app.scheduler import epoch
from app.scheduler.epoch import EPOCH_BITS, GAP
from app.settings import Settings
from tests.conftest import execute
from tests.farm import Farm

ELSEWHERE = {
    "a dump on another server": "UPDATE farm_epoch SET server = server + 1",
    "another time line": "UPDATE farm_epoch SET timeline = '00000000'",
}


async def moved(farm: Farm, app: FastAPI, database: str, how: str) -> None:
    """As if the database had been found there; the service reads the farm anew."""
    await execute(database, ELSEWHERE[how])
    await epoch.settle(app.state.engine)
    await farm.queue("/after")


@pytest.mark.parametrize("how", ELSEWHERE)
async def test_ids_of_a_new_epoch_are_above_all_that_the_former_one_gave(
    farm: Farm, app: FastAPI, database: str, how: str
) -> None:
    await farm.queue("/before")
    before = await farm.job("before")
    await farm.agent("a0")
    await farm.assign("a0")
    await farm.report("a0")
    await moved(farm, app, database, how)
    after = await farm.job("after")
    held = await farm.assign("a0")
    assert held is not None
    assert held["id"] == (1 << EPOCH_BITS) + 1
    assert after["id"] == before["id"] + GAP + 1
    assert farm.queues["/after"] == farm.queues["/before"] + GAP + 1


async def test_work_from_before_a_dump_was_restored_is_refused_and_done_anew(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    before = await farm.assign("a0")
    assert before is not None
    await moved(farm, app, database, "a dump on another server")
    late = await farm.report("a0")
    assert (late.status_code, late.json()["code"]) == (409, "stale_assignment")
    assert "restored" in late.json()["detail"]
    again = await farm.assign("a0")
    assert again is not None
    assert (again["id"] > before["id"], again["tasks"][0]["attempt"]) == (True, 2)


async def test_work_goes_on_where_a_standby_was_promoted(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=1)
    await farm.agent("a0")
    await farm.assign("a0")
    await moved(farm, app, database, "another time line")
    assert (await farm.report("a0")).status_code == 200


async def test_an_epoch_begins_once_however_many_services_start(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.job("shot", tasks=2)
    for hostname in ("a0", "a1"):
        await farm.agent(hostname)
    await moved(farm, app, database, "another time line")
    other = create_app(Settings(), database)
    async with other.router.lifespan_context(other):
        await epoch.settle(other.state.engine)
    held = [await farm.assign(hostname) for hostname in ("a0", "a1")]
    assert [one and one["id"] for one in held] == [(1 << EPOCH_BITS) + n for n in (1, 2)]


async def test_the_first_start_is_no_new_epoch(farm: Farm) -> None:
    await farm.job("shot")
    await farm.agent("a0")
    held = await farm.assign("a0")
    assert held is not None
    assert held["id"] == 1
