"""What went on, in numbers: written once, added up, let go, and shown."""

import json
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI

from app.figures import store
from app.figures.keeping import keep, together
from app.figures.service import MOST_QUEUES
from app.plan.entitlements import Entitlements
from tests.farm import Farm
from tests.figures.past import remember


async def rows(
    database: str, statement: str = "TABLE farm_figures ORDER BY seconds, at"
) -> list[Any]:
    connection = await asyncpg.connect(database.replace("+asyncpg", ""))
    try:
        found: list[Any] = await connection.fetch(statement)
        return found
    finally:
        await connection.close()


async def write(app: FastAPI) -> None:
    await app.state.desk.look()
    await keep(app.state.engine, app.state.desk, app.state.entitlements)


async def test_a_minute_is_written_once_whoever_is_at_it(
    farm: Farm, app: FastAPI, database: str
) -> None:
    films = (await farm.queue("/films"))["id"]
    await farm.job("shot", tasks=9, queue="/films")
    await farm.agent("a0")
    await farm.assign("a0")
    await write(app)
    await write(app)
    [row] = await rows(
        database,
        "SELECT *, at = date_trunc('minute', at) AS whole, agents ->> 'working' AS working,"
        " queues FROM farm_figures WHERE seconds = 60 ORDER BY at LIMIT 1",
    )
    assert (row["seconds"], row["whole"], row["working"]) == (60, True, "1")
    assert json.loads(row["queues"]) == {"0": [1, 1, 8], str(films): [1, 1, 8]}
    written = [(found["seconds"], found["at"]) for found in await rows(database)]
    assert len(set(written)) == len(written)


async def test_what_queues_are_entitled_to_is_null_where_it_is_not_known_yet(
    farm: Farm, app: FastAPI, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await farm.job("shot", tasks=9)
    monkeypatch.setattr(Entitlements, "now", lambda _: {})
    await write(app)
    [row, *_] = await rows(database)
    assert json.loads(row["queues"]) == {"0": [0, None, 9]}
    [point, *_] = (await farm.get("/history/figures"))["points"]
    assert point["queues"] == {"0": {"assigned": 0, "entitled": None, "waiting": 9}}


def test_a_mean_is_of_those_minutes_in_which_it_was_known() -> None:
    others = dict.fromkeys(("tasks_done", "tasks_failed", "jobs_started", "history_id"), 0) | {
        "agents": {}, "wait_seconds": 0.0, "longest_wait": 0.0,
    }  # fmt: skip
    told = [{"1": [4, None, 2], "2": [1, None, 0]}, {"1": [2, 6, 0]}, {"1": [0, 3, 1]}]
    found = together(others | {"queues": queues} for queues in told)
    assert found["queues"] == {"1": [2, 4.5, 1], "2": [0.33, 0, 0]}
    assert together([others | {"queues": told[0]}])["queues"]["1"] == [4, None, 2]


async def test_what_the_history_tells_is_counted_from_where_the_last_minute_ended(
    farm: Farm, app: FastAPI, database: str
) -> None:
    await farm.queue("/films")
    await farm.agent("a0")
    await farm.job("before", queue="/films")
    await farm.assign("a0")
    await farm.finish("a0")
    await rows(
        database,
        "INSERT INTO farm_figures SELECT 60, date_trunc('minute', now()) - interval '3 minutes',"
        " '{}', '{}', 0, 0, 0, 0, 0, (SELECT max(id) FROM history)",
    )
    await farm.job("shot", tasks=4, batch=2, requeue=0, queue="/films")
    await farm.assign("a0")
    await farm.finish("a0")
    await farm.assign("a0")
    await farm.fail("a0")
    await rows(
        database,
        "WITH begun AS (UPDATE job_progress SET time_started ="
        " date_trunc('minute', now()) - interval '30 seconds' RETURNING job_id, time_started)"
        " UPDATE jobs SET time_submitted = b.time_started - interval '20 seconds'"
        " FROM begun b WHERE jobs.id = b.job_id",
    )
    await write(app)
    [*_, row] = [row for row in await rows(database) if row["seconds"] == 60]
    assert (row["tasks_done"], row["tasks_failed"]) == (2, 2)
    assert (row["jobs_started"], row["wait_seconds"], row["longest_wait"]) == (1, 20, 20)


async def test_an_hour_that_is_over_is_added_up_of_its_minutes(
    app: FastAPI, farm: Farm, database: str
) -> None:
    await farm.queue("/films")
    await remember(database, rows=130)
    await write(app)
    [hour] = await rows(
        database,
        "SELECT h.*, count(*) AS minutes, sum(m.tasks_done) AS done, sum(m.jobs_started) AS started"
        " FROM farm_figures h JOIN farm_figures m"
        " ON m.seconds = 60 AND date_trunc('hour', m.at) = h.at"
        " WHERE h.seconds = 3600 GROUP BY 1, 2",
    )
    assert hour["minutes"] == 60
    assert (hour["tasks_done"], hour["jobs_started"]) == (hour["done"], hour["started"])
    assert hour["longest_wait"] == 35
    assert json.loads(hour["agents"])["offline"] == pytest.approx(2, abs=0.05)


async def test_minutes_go_after_two_days_and_hours_after_forty(
    app: FastAPI, farm: Farm, database: str
) -> None:
    await farm.queue("/films")
    old = (
        "INSERT INTO farm_figures SELECT {seconds}, date_trunc('hour', now()) - interval '{ago}',"
        " '{{}}', '{{}}', 0, 0, 0, 0, 0, 0"
    )
    for seconds, ago in ((60, "3 days"), (60, "1 day"), (3600, "41 days"), (3600, "39 days")):
        await rows(database, old.format(seconds=seconds, ago=ago))
    await write(app)
    ages = await rows(
        database,
        "SELECT seconds, date_part('day', now() - at) AS days FROM farm_figures"
        " WHERE at < now() - (CASE seconds WHEN 60 THEN interval '20 hours'"
        " ELSE interval '2 days' END) ORDER BY seconds, days",
    )
    assert [(row["seconds"], row["days"]) for row in ages] == [(60, 1), (3600, 39)]


@pytest.mark.parametrize(
    ("span", "seconds", "step"), [("hour", 60, 60), ("day", 60, 300), ("month", 3600, 3600)]
)
async def test_a_span_is_told_in_its_steps(
    farm: Farm, database: str, span: str, seconds: int, step: int
) -> None:
    films = await farm.queue("/films", weight=2)
    await farm.set_queue("/films", weight=5)
    await remember(database, seconds, rows=40)
    told = await farm.get(f"/history/figures?span={span}")
    assert told["step_seconds"] == step
    assert told["names"] == {"0": "/", str(films["id"]): "/films"}
    times = [point["at"] for point in told["points"]]
    assert times == sorted(times)
    assert len(times) >= 40 * seconds // step - 1
    assert {point["agents"]["online"] for point in told["points"]} == {20}
    assert {point["queues"]["0"]["entitled"] for point in told["points"]} == {21}
    assert sum(point["tasks_done"] for point in told["points"]) == 6 * 40
    assert [change["action"] for change in told["changes"]] == [
        "jobqueue.changed",
        "jobqueue.created",
    ]
    assert told["changes"][0]["detail"]["to"] == {"weight": 5}


async def test_a_queue_that_is_not_there_is_refused(farm: Farm) -> None:
    answer = await farm.client.get("/history/figures?queue=/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (422, "no_such_jobqueue")


def test_several_are_told_as_one_by_means_and_sums() -> None:
    one = {
        "agents": {"online": 4},
        "queues": {"1": [2, 2, 10]},
        "tasks_done": 3,
        "tasks_failed": 0,
        "jobs_started": 1,
        "wait_seconds": 9.0,
        "longest_wait": 9.0,
        "history_id": 5,
    }
    other = one | {"agents": {}, "queues": {}, "longest_wait": 4.0, "history_id": 8}
    both = together([one, other])
    assert (both["agents"], both["queues"]) == ({"online": 2}, {"1": [1, 1, 5]})
    assert (both["tasks_done"], both["longest_wait"], both["history_id"]) == (6, 9.0, 8)


async def test_of_a_large_farm_only_the_queues_that_are_shown_are_read(
    farm: Farm, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [(await farm.queue(f"/q{number:02}"))["id"] for number in range(20)]
    busy = made[-3:]
    queues = {str(one): [one, 1, 1] for one in busy} | {
        str(10**6 + n): [9, 9, 9] for n in range(40)
    }
    past = (
        "INSERT INTO farm_figures SELECT 60, now() - make_interval(mins => n), '{{}}', '{queues}',"
        " 1, 0, 0, 0, 0, 0 FROM generate_series(1, 300) n"
    )
    await rows(
        database,
        past.format(queues=json.dumps(queues)),
    )
    read: list[int] = []
    of_queues = store.of_queues

    async def watched(*about: Any) -> Any:
        found = await of_queues(*about)
        read.extend(len(row["queues"]) for row in found)
        return found

    monkeypatch.setattr(store, "of_queues", watched)
    told = await farm.get("/history/figures?span=day")
    assert read == [len(busy)] * 300
    shown = [int(one) for one in told["names"]]
    assert shown[:4] == [0, *reversed(busy)]
    assert len(shown) == 1 + MOST_QUEUES
    assert {len(point["queues"]) for point in told["points"]} == {len(busy)}
