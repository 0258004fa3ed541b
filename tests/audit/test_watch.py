"""The recount beside the work: a metric for each check, a log line for each finding, once."""

import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from app.audit.findings import RECOUNT, Finding
from app.audit.watch import look
from tests.audit.spoiling import build, spoil
from tests.farm import Farm


@pytest.fixture(autouse=True)
async def _farm(farm: Farm) -> None:
    await build(farm)


async def test_a_farm_that_is_well_shows_a_nought_for_every_check(app: FastAPI, farm: Farm) -> None:
    with capture_logs() as lines:
        assert await look(app.state.engine, set()) == set()
    text = (await farm.client.get("/metrics")).text
    for check in RECOUNT:
        assert f'farmqueue_audit_findings{{check="{check}"}} 0.0' in text
    assert [line for line in lines if line["event"].startswith("audit")] == []


async def test_a_finding_is_a_number_until_it_is_gone_and_one_log_line(
    app: FastAPI, farm: Farm, database: str
) -> None:
    await spoil(database, "UPDATE job_progress SET tasks_done = tasks_done + 1 WHERE job_id = 1")
    known: set[Finding] = set()
    with capture_logs() as lines:
        for _ in range(2):
            known = await look(app.state.engine, known)
    assert (
        'farmqueue_audit_findings{check="job_counts"} 1.0'
        in (await farm.client.get("/metrics")).text
    )
    [line] = [line for line in lines if line["event"] == "audit_finding"]
    assert (line["log_level"], line["check"], line["job_id"]) == ("error", "job_counts", "1")
    assert line["advice"]
    await spoil(database, "UPDATE job_progress SET tasks_done = tasks_done - 1 WHERE job_id = 1")
    assert await look(app.state.engine, known) == set()
    assert (
        'farmqueue_audit_findings{check="job_counts"} 0.0'
        in (await farm.client.get("/metrics")).text
    )


async def test_finished_jobs_and_what_is_left_of_deleted_ones_are_left_to_the_command(
    app: FastAPI, farm: Farm, database: str
) -> None:
    await farm.job("over", queue="/tv")
    await farm.agent("a9")
    assert await farm.gets("a9") == "over"
    await farm.finish("a9")
    await spoil(database, "UPDATE tasks SET state = 'failed' WHERE job_id = 3")
    assert await look(app.state.engine, set()) == set()
    await spoil(database, "DELETE FROM jobs WHERE id = 3")  # and it leaves its tasks
    assert await look(app.state.engine, set()) == set()


async def test_a_database_that_is_away_is_a_log_line_and_the_next_look_is_taken(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise ConnectionRefusedError("no")

    with monkeypatch.context() as broken, capture_logs() as lines:
        broken.setattr("app.audit.watch.recount", away)
        assert await look(app.state.engine, set()) == set()
    assert "audit_failed" in {line["event"] for line in lines}
    assert await look(app.state.engine, set()) == set()
