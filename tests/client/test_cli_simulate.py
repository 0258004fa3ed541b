"""`farmqueue simulate`: what it asks for, and what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.desk import Desk, Json


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.answers(
        "POST /simulate",
        {
            "changed": {"queues": [_queue("/films", 20, 30.5), _queue("/new", 1, None)]},
            "baseline": {"queues": [_queue("/films", 60, 10.25)]},
        },
    )
    return desk


def _queue(path: str, agents: int, finish: float | None) -> Json:
    return {
        "queue": path,
        "agents_now": agents,
        "mean_agents": agents / 2,
        "peak_agents": agents,
        "seconds_below_minimum": 0.0,
        "finish_seconds": finish,
    }


def test_options_become_changes(desk: Desk) -> None:
    words = (
        "simulate --set /films.maximum_agents=20 --set /a.b.paused=true"
        " --set /tv.minimum_agents=none"
        " --add-agents 100,ram=65536,tags=gpu+linux --remove-agents 10,tags=old --hours 2 --seed 7"
        " --no-baseline"
    )
    assert desk.types(*words.split()).exit_code == 0
    assert desk.asked("POST /simulate").body == {
        "hours": 2.0,
        "seed": 7,
        "baseline": False,
        "changes": {
            "queues": [
                {"queue": "/films", "maximum_agents": 20},
                {"queue": "/a.b", "paused": True},
                {"queue": "/tv", "minimum_agents": None},
            ],
            "agents": {
                "add": [{"count": 100, "ram": 65536, "tags": ["gpu", "linux"]}],
                "remove": [{"count": 10, "tags": ["old"]}],
            },
        },
    }


@pytest.mark.parametrize("way", ["file", "-"])
def test_a_request_is_read_and_options_come_on_top(desk: Desk, tmp_path: Path, way: str) -> None:
    request: dict[str, Any] = {"hours": 3, "changes": {"queues": [{"create": "/new"}]}}
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request))
    words = ["simulate", str(file) if way == "file" else "-", "--set", "/films.weight=3"]
    assert desk.types(*words, stdin=json.dumps(request)).exit_code == 0
    body = desk.asked("POST /simulate").body
    assert body["hours"] == 3
    assert body["changes"]["queues"] == [{"create": "/new"}, {"queue": "/films", "weight": 3}]


def test_before_and_after_stand_side_by_side(desk: Desk) -> None:
    assert desk.types("simulate").stdout.splitlines() == [
        "/films\t60\t20\t30.0\t10.0\t60\t20\t0.0\t0.0\t10.25\t30.5",
        "/new\t-\t1\t-\t0.5\t-\t1\t-\t0.0\t-\t-",
    ]


def test_the_whole_answer_is_printed_as_json(desk: Desk) -> None:
    assert json.loads(desk.types("simulate", "--json").stdout)["baseline"]


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "films.weight=1"],
        ["--set", "/films=1"],
        ["--set", "/films.weight=x"],
        ["--add-agents", "some"],
        ["--add-agents", "1,cpus"],
        ["/no/such/file"],
    ],
)
def test_what_is_not_understood_is_wrong_usage(desk: Desk, words: list[str]) -> None:
    assert desk.types("simulate", *words).exit_code == 2
