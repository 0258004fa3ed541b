"""`farmqueue submit`: what becomes of options and files."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.desk import Desk, job


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_job_is_submitted_and_its_id_printed(desk: Desk) -> None:
    desk.answers("POST /jobs", job())
    result = desk.types("submit", "shot 010", "--", "render", "--frame", "{frame}")
    assert (result.exit_code, result.stdout) == (0, "12\n")
    assert desk.asked("POST /jobs").body == {
        "title": "shot 010",
        "frames": "1",
        "data": {"command": ["render", "--frame", "{frame}"]},
    }


def test_every_option_of_submit_is_a_field_of_the_job(desk: Desk) -> None:
    desk.answers("POST /jobs", job())
    words = (
        "submit shot -q /films --start 1 --end 10 --by 0.5 --tiles 4 --batch 5 --not-contiguous"
        " --per batch --priority 7 --weight 3 --minimum 1 --maximum 9 --requeue -1 --parent 4"
        " --parent 5 --env A=1 --env B=x=y --cwd /shots --timeout 60 --tag gpu --tag linux"
        " --exclude-tag slow --cpus 4 --ram 2048 --paused -- render"
    )
    result = desk.types(*words.split())
    assert result.exit_code == 0, result.stderr
    assert desk.asked("POST /jobs").body == {
        "title": "shot",
        "queue": "/films",
        "start": 1,
        "end": 10,
        "by": 0.5,
        "num_tiles": 4,
        "batch": 5,
        "batch_contiguous": False,
        "priority": 7,
        "weight": 3,
        "minimum_agents": 1,
        "maximum_agents": 9,
        "requeue": -1,
        "parents": [4, 5],
        "environ": {"A": "1", "B": "x=y"},
        "required_tags": ["gpu", "linux"],
        "excluded_tags": ["slow"],
        "cpus": 4,
        "ram": 2048,
        "paused": True,
        "data": {"command": ["render"], "per": "batch", "cwd": "/shots", "timeout": 60.0},
    }


def test_a_job_comes_from_a_file_and_options_replace_what_it_says(
    desk: Desk, tmp_path: Path
) -> None:
    desk.answers("POST /jobs", job())
    file = tmp_path / "job.json"
    file.write_text('{"title": "shot", "frames": "1-5", "data": {"command": ["a"], "own": 1}}')
    result = desk.types("submit", "new", "--file", str(file), "--frames", "7", "--", "b")
    assert result.exit_code == 0, result.stderr
    assert desk.asked("POST /jobs").body == {
        "title": "new",
        "frames": "7",
        "data": {"command": ["b"], "own": 1},
    }


@pytest.mark.parametrize("wrap", [lambda jobs: jobs, lambda jobs: {"jobs": jobs}])
def test_several_jobs_come_from_stdin_all_or_none(desk: Desk, wrap: Any) -> None:
    desk.answers("POST /jobs/batch", {"items": [job(id=1), job(id=2)]})
    jobs = [{"title": "a", "frames": "1"}, {"title": "b", "frames": "1"}]
    result = desk.types("submit", "--file", "-", stdin=json.dumps(wrap(jobs)))
    assert result.stdout == "1\n2\n"
    assert desk.asked("POST /jobs/batch").body == {"jobs": jobs}


@pytest.mark.parametrize("wrap", [lambda jobs: jobs, lambda jobs: {"jobs": jobs}])
def test_a_list_of_one_job_is_a_list_all_the_way(desk: Desk, wrap: Any) -> None:
    desk.answers("POST /jobs/batch", {"items": [job(id=1)]})
    jobs = [{"title": "a", "frames": "1"}]
    result = desk.types("submit", "--json", "--file", "-", stdin=json.dumps(wrap(jobs)))
    assert json.loads(result.stdout) == [job(id=1)]
    assert desk.asked("POST /jobs/batch").body == {"jobs": jobs}


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "7",
        "[]",
        "[7]",
        '{"jobs": 7}',
        '{"jobs": []}',
        '{"start": NaN}',
        '{"start": 1e999}',
        '{"title": "\\ud800"}',
    ],
)
def test_a_file_that_holds_no_job_is_wrong_usage(desk: Desk, content: str) -> None:
    result = desk.types("submit", "--file", "-", stdin=content)
    assert result.exit_code == 2
    assert "--file" in result.stderr


@pytest.mark.parametrize("content", ['[{"title": "a"}, {}]', '[{"title": "a"}]'])
def test_options_for_a_list_of_jobs_are_wrong_usage(desk: Desk, content: str) -> None:
    result = desk.types("submit", "-f", "-", "--batch", "5", stdin=content)
    assert result.exit_code == 2


def test_options_for_data_that_is_no_object_are_wrong_usage(desk: Desk) -> None:
    result = desk.types("submit", "-f", "-", "--per", "task", stdin='{"title": "a", "data": [1]}')
    assert result.exit_code == 2
    assert desk.farm.calls == []
