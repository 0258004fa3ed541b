"""The sample farm is one that the rules can be seen in, and its jobs fit together."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.demo.sample import FARM, Sample


def sample(result: Path = Path("/pictures")) -> Sample:
    return Sample.load(FARM, result)


def fullpaths(farm: Sample) -> list[str]:
    return [f"{parent or ''}/{fields['name']}" for parent, fields in farm.queues]


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_the_tree_has_three_levels_and_every_kind_of_rule() -> None:
    farm = sample()
    assert max(path.count("/") for path in fullpaths(farm)) == 3
    used = {name for _, fields in farm.queues for name in fields}
    assert used >= {"weight", "priority", "minimum_agents", "maximum_agents"}


def test_a_queue_comes_after_its_parent() -> None:
    farm = sample()
    made: list[str | None] = [None]
    for (parent, _), fullpath in zip(farm.queues, fullpaths(farm), strict=True):
        assert parent in made
        made.append(fullpath)


def test_every_job_has_a_queue_of_the_tree_and_follows_jobs_before_it() -> None:
    farm = sample()
    titles: list[str] = []
    for job in farm.jobs:
        assert job["queue"] in fullpaths(farm)
        assert set(job.get("after", [])) <= set(titles)
        titles.append(job["title"])
    assert len(set(titles)) == len(titles)


def test_what_is_assembled_is_exactly_what_is_rendered_before() -> None:
    farm = sample()
    jobs = {job["title"]: job for job in farm.jobs}
    films = [job for job in farm.jobs if "after" in job]
    assert len(films) == 2
    for film in films:
        command = film["data"]["command"]
        numbers: list[int] = []
        for title in film["after"]:
            shot = jobs[title]["data"]["command"]
            assert option(shot, "--out") == option(command, "--in")
            assert option(shot, "--of") == option(command, "--count")
            first, last = map(int, jobs[title]["frames"].split("-"))
            numbers.extend(range(first, last + 1))
        assert numbers == list(range(1, int(option(command, "--count")) + 1))


def test_commands_run_this_python_and_write_where_they_are_told() -> None:
    for job in sample(Path("/pictures")).jobs:
        command = job["data"]["command"]
        assert command[0] == sys.executable
        assert any(word.startswith("/pictures/") for word in command)
        assert not [word for word in command if "$" in word]


def test_braces_in_the_result_directory_are_no_placeholders(tmp_path: Path) -> None:
    farm: dict[str, Any] = {
        "queues": [],
        "jobs": [{"title": "one", "command": ["$PYTHON", "{frame}", "$RESULT/a"]}],
    }
    path = tmp_path / "farm.json"
    path.write_text(json.dumps(farm))
    (job,) = Sample.load(path, Path("/odd{name}")).jobs
    _, frame, out = job["data"]["command"]
    assert frame.format(frame=7) == "7"
    assert out.format() == "/odd{name}/a"


def test_an_unknown_variable_in_a_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "farm.json"
    path.write_text('{"queues": [], "jobs": [{"title": "one", "command": ["$RESULTS/a"]}]}')
    with pytest.raises(KeyError, match=re.escape("RESULTS")):
        Sample.load(path, tmp_path)
