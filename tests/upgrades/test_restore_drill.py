"""A dump of a farm that worked is restored: nothing of the time that is lost is met again."""

import asyncio
from pathlib import Path

import pytest

from app.audit.service import audit
from app.scheduler.epoch import EPOCH_BITS
from tests.chaos import invariants
from tests.chaos.clients import client
from tests.chaos.crew import Agent, Call, crew
from tests.chaos.stage import Maker, Stage
from tests.chaos.test_first_five import agent_process, enlist
from tests.tokens import bearer, made
from tests.upgrades.servers import empty_server, tool

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

NEWEST = "SELECT coalesce(max(id), 0) AS id FROM assignments"
DATA = {"command": ["true"]}


@pytest.fixture(autouse=True)
def _agents_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """They drop what the service does not know any more, as the real one does."""
    refused = Agent._refused

    async def forgiving(self: Agent, call: Call) -> None:
        unknown = call.status == 404 and call.path.startswith("/assignments/")
        await refused(self, Call(call.path, call.body, 409) if unknown else call)

    monkeypatch.setattr(Agent, "_refused", forgiving)


async def restored(on: Stage, dump: Path, home: Path) -> None:
    """Into an empty server, at the address of the former one."""
    on.postgres.stop("immediate")
    on.postgres = await empty_server(home / "restored", on.postgres.port)
    await tool("pg_restore", "--exit-on-error", f"--dbname={on.postgres.url}", str(dump))


async def test_a_dump_that_is_restored_into_the_same_server_is_a_new_epoch(
    stage: Maker, tmp_path: Path
) -> None:
    async with stage(replicas=1) as on:
        [service], dump = on.replicas, tmp_path / "farmqueue.dump"
        [agent] = await enlist(on, 1)
        await on.farm.job("shot", tasks=3)
        await tool("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={on.postgres.url}")
        async with client(on.urls[0]) as http:
            lost = await on.ledger.post(http, "/assign", {"agent_id": agent})
            service.kill()
            on.ledger.calls.clear()
            for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
                await on.postgres.fetch(statement)
            await tool("pg_restore", "--exit-on-error", f"--dbname={on.postgres.url}", str(dump))
            await service.start()
            anew = await on.ledger.post(http, "/assign", {"agent_id": agent})
        assert lost.answer is not None
        assert anew.answer is not None
        assert anew.answer["id"] > 1 << EPOCH_BITS
        await invariants.hold(on)


async def test_a_farm_goes_on_from_a_dump_on_another_server(stage: Maker, tmp_path: Path) -> None:
    async with stage(replicas=1) as on:
        [service] = on.replicas
        former = on.postgres
        try:
            await _drill(on, stage, tmp_path)
        finally:
            await service.end()
            if on.postgres is not former:
                on.postgres.stop("immediate")


async def _drill(on: Stage, stage: Maker, tmp_path: Path) -> None:
    [service] = on.replicas
    http = on.farm.client
    join = await made(http, "join")
    revoked = await made(http, "viewer", "revoked-later")
    ids = await enlist(on, 12)
    for number in range(4):
        await on.farm.job(f"shot {number}", tasks=150, batch=3, requeue=-1, data=DATA)
    early = agent_process(on.urls[0], join, tmp_path / "early", tmp_path / "early.log")
    late = agent_process(on.urls[0], join, tmp_path / "late", tmp_path / "late.log")
    async with crew(ids, on.urls, on.ledger, on.chance, effort=0.3) as working:
        with early:
            await _registered(tmp_path / "early.log")
            promised = [call for call in on.ledger.calls if call.accepted]
            dump = tmp_path / "farmqueue.dump"
            await tool(
                "pg_dump", "--format=custom", f"--file={dump}", f"--dbname={on.postgres.url}"
            )
            with late:
                await _registered(tmp_path / "late.log")
                gone = await on.farm.job("submitted after the dump", tasks=1, data=DATA)
                token = await made(http, "viewer", "after-the-dump")
                listed = (await on.farm.get("/tokens"))["items"]
                [known] = [one["id"] for one in listed if one["name"] == "revoked-later"]
                assert (await http.delete(f"/tokens/{known}")).is_success
                await asyncio.sleep(1)
                service.kill()
                newest = (await on.postgres.fetch(NEWEST))[0]["id"]
                on.ledger.calls.clear()
                await restored(on, dump, stage.home)
                held = {row["id"] for row in await invariants.active(on)}
                await service.start()
                assert [*(await audit(on.postgres.url)).findings.kept] == []
                while not await invariants.all_done(on):
                    working.check()
                    await asyncio.sleep(0.1)
                await working.finish()
                await _registered(tmp_path / "late.log", "joins anew")
    on.ledger.calls[:0] = promised
    fresh = await on.postgres.fetch("SELECT id FROM assignments WHERE id >= 1::bigint << 40")
    assert fresh, "nothing was given out after the restore"
    assert min(row["id"] for row in fresh) > newest
    assert held
    ended = await invariants.made(on, "assignment.ended")
    taken_back = {row["assignment_id"] for row in ended if row["detail"]["because"] == "restored"}
    assert held == taken_back
    async with client(service.url) as asking:
        assert (await asking.get(f"/jobs/{gone['id']}")).status_code == 404
        assert (await asking.get("/jobs", headers=bearer(token))).status_code == 401
        assert (await asking.get("/jobs", headers=bearer(revoked))).status_code == 200
    await invariants.hold(on)


async def _registered(log: Path, word: str = "registered") -> None:
    async with asyncio.timeout(60):
        while word not in log.read_text():  # noqa: ASYNC240
            await asyncio.sleep(0.1)
