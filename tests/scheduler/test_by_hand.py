"""Rows that somebody deletes or changes in psql do not stop the farm for everybody else."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.db.driver import connect
from app.scheduler.kept import KeptFarm
from tests.farm import Farm
from tests.tokens import NO_TOKENS


@pytest.fixture
async def psql(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database)
    yield connection
    await connection.close()


async def two_at_work(farm: Farm) -> None:
    for number in range(2):
        await farm.job(f"job {number}", tasks=4)
        await farm.agent(f"a{number}")
    assert {await farm.gets("a0"), await farm.gets("a1")} == {"job 0", "job 1"}


async def others_go_on(farm: Farm, hostname: str, psql: asyncpg.Connection) -> None:
    """The agent that has nothing to do with it, a new one, and a service that begins only now."""
    await KeptFarm.load(psql, NO_TOKENS)
    assert (await farm.report(hostname)).status_code == 200
    assert (await farm.ask(hostname)).status_code == 200
    await farm.agent("new")
    assert (await farm.ask("new")).status_code == 200


@pytest.mark.parametrize("statement", ["DELETE FROM jobs", "DELETE FROM agents"])
async def test_what_is_at_work_is_not_deleted_by_hand(
    farm: Farm, psql: asyncpg.Connection, statement: str
) -> None:
    await two_at_work(farm)
    with pytest.raises(asyncpg.RestrictViolationError, match="delete it through the service"):
        await psql.execute(statement)
    await others_go_on(farm, "a0", psql)
    await others_go_on(farm, "a1", psql)


async def test_a_farm_emptied_of_its_jobs_by_hand_goes_on_with_new_ones(
    farm: Farm, psql: asyncpg.Connection
) -> None:
    await two_at_work(farm)
    await psql.execute("TRUNCATE jobs CASCADE")
    assert (await farm.report("a0")).status_code == 409
    await farm.job("new", tasks=2)
    assert {await farm.gets("a0"), await farm.gets("a1")} == {"new"}
