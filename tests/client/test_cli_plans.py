"""`farmqueue export`, `plan` and `apply` at a command line, before a service that is prepared."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.client.desk import Desk, Json, listed, node, queue


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "tree.yaml"
    path.write_text("queues:\n  films:\n    weight: 20\n  tv:\n    queues:\n      new:\n")
    return str(path)


SAID = {"queues": {"films": {"weight": 20}, "tv": {"queues": {"new": None}}}}


def both(before: Any, after: Any) -> Json:
    return {"before": before, "after": after}


def edit(action: str, path: str, was: str | None = None, **fields: Json) -> Json:
    return {"action": action, "path": path, "id": 1, "moved_from": was, "fields": fields}


def planned(*changes: Json, **more: Any) -> Json:
    return {
        "fingerprint": "f00d",
        "root": "/",
        "changes": list(changes),
        "blocked": [],
        "unlisted": [],
        "unlisted_total": 0,
        "agents": 9,
        "entitled": [],
        **more,
    }


def changes() -> Json:
    made = edit("create", "/tv/new", weight=both(None, 5), paused=both(None, False))
    shifts = [{"path": "/films", "id": 1, "assigned_agents": 2, "before": 3, "after": 6}]
    return planned(
        edit("change", "/films", weight=both(10, 20), minimum_agents=both(None, 2)),
        made,
        edit("move", "/tv/hero", "/films/hero"),
        edit("delete", "/old"),
        entitled=shifts,
        unlisted=["/ads"],
        unlisted_total=1,
    )


def test_a_plan_goes_into_a_pipe_as_lines(desk: Desk, file: str) -> None:
    desk.answers("POST /jobqueues/plan", changes())
    result = desk.types("plan", file, "--delete", "--agents", "9")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "change\t/films\t-\tweight: 10 → 20, minimum_agents: none → 2",
            "create\t/tv/new\t-\tweight: 5",
            "move\t/tv/hero\t/films/hero\t-",
            "delete\t/old\t-\t-",
            "agents\t/films\t3\t6",
            "fingerprint\tf00d",
        ],
    )
    asked = desk.asked("POST /jobqueues/plan")
    assert (asked.body, asked.query) == (SAID, {"delete": "true", "agents": "9"})


@pytest.mark.parametrize(("found", "exit_code"), [(planned(), 0), (changes(), 2)])
def test_a_script_hears_whether_something_is_different(
    desk: Desk, file: str, found: Json, exit_code: int
) -> None:
    desk.answers("POST /jobqueues/plan", found)
    assert desk.types("plan", file, "--detailed-exitcode").exit_code == exit_code
    result = desk.types("plan", file, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, found)


def test_what_cannot_be_applied_is_said_with_what_to_do(desk: Desk, file: str) -> None:
    blocked = {"path": "/old", "id": 1, "jobs": 2, "detail": "/old still has 2 jobs: move them"}
    desk.answers("POST /jobqueues/plan", planned(edit("delete", "/old"), blocked=[blocked]))
    result = desk.types("plan", file, "--delete", "--detailed-exitcode")
    assert result.exit_code == 4
    assert "cannot be applied: /old still has 2 jobs: move them" in result.stderr


def test_errors_of_the_service_are_told_by_file_and_line(desk: Desk, file: str) -> None:
    wrong = [
        {"field": "/films: weight", "message": "too heavy"},
        {"field": "/tv/new", "message": "no such id"},
    ]
    desk.refuses("POST /jobqueues/plan", 422, "invalid", detail="2 in all", errors=wrong)
    result = desk.types("plan", file)
    assert result.exit_code == 5
    assert f"farmqueue: {file}:3: /films: weight: too heavy" in result.stderr
    assert f"farmqueue: {file}:6: /tv/new: no such id" in result.stderr


def test_a_file_that_is_no_yaml_asks_the_service_nothing(desk: Desk, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("queues:\n  a: 1\n  a: 2\n")
    result = desk.types("apply", str(bad))
    assert (result.exit_code, desk.farm.calls) == (5, [])
    assert f"{bad}:3: a is there twice" in result.stderr
    assert desk.types("plan", str(tmp_path / "none.yaml")).exit_code == 5


def test_a_file_comes_through_a_pipe_too(desk: Desk) -> None:
    desk.answers("POST /jobqueues/plan", planned())
    assert desk.types("plan", "-", stdin="queues: {films: {weight: 1}}").exit_code == 0
    assert desk.asked("POST /jobqueues/plan").body == {"queues": {"films": {"weight": 1}}}


def test_a_pipeline_applies_the_plan_that_was_looked_at(desk: Desk, file: str) -> None:
    desk.answers("POST /jobqueues/apply", planned(edit("delete", "/old"), entitled=None))
    result = desk.types("apply", file, "--delete", "--fingerprint", "f00d")
    assert result.stdout.splitlines() == ["delete\t/old\t-\t-", "fingerprint\tf00d"]
    assert desk.asked("POST /jobqueues/apply").query == {"delete": "true", "fingerprint": "f00d"}


def test_a_plan_that_is_outdated_is_told_apart(desk: Desk, file: str) -> None:
    desk.refuses("POST /jobqueues/apply", 409, "plan_outdated", detail="the farm changed")
    result = desk.types("apply", file, "--fingerprint", "f00d")
    assert result.exit_code == 4
    assert f"`farmqueue plan {file}`" in result.stderr


def test_a_tree_is_exported_whole_or_in_part(desk: Desk, tmp_path: Path) -> None:
    hero = node("hero", "/films/hero") | {"maximum_agents": None}
    desk.answers("GET /jobqueues/tree", node("films", "/films", hero))
    desk.answers("GET /jobqueues", listed(queue()))
    assert desk.types("export", "/films").stdout == "root: /films\nqueues:\n  hero:\n    id: 3\n"
    out = tmp_path / "tree.yaml"
    assert desk.types("export", "--no-ids", "-o", str(out)).stdout == ""
    assert out.read_text() == "root: /films\nqueues:\n  hero:\n"


def test_the_schema_is_printed(desk: Desk) -> None:
    printed = json.loads(desk.types("schema").stdout)
    assert {"root", "queues"} == printed["properties"].keys()


# --- for people ---


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("farmqueue.cli.plans.for_people", lambda: True)


@pytest.mark.usefixtures("terminal")
def test_people_see_signs_and_are_asked_before_anything_is_done(desk: Desk, file: str) -> None:
    desk.answers("POST /jobqueues/plan", changes())
    desk.answers("POST /jobqueues/apply", changes())
    refused = desk.types("apply", file, stdin="n\n")
    assert (refused.exit_code, desk.farm.called("POST /jobqueues/apply")) == (1, [])
    done = desk.types("apply", file, stdin="y\n")
    assert done.exit_code == 0, done.stderr
    assert desk.asked("POST /jobqueues/apply").query == {"fingerprint": "f00d"}
    for line in (
        "~ /films  weight: 10 → 20, minimum_agents: none → 2",
        "> /tv/hero  was /films/hero",
        "  +3 /films  3 → 6",
        "1 to create, 1 to change, 1 to move, 1 to delete",
        "1 queues are not in the file, and stay: /ads",
        "applied 4 changes",
    ):
        assert line in done.stdout


@pytest.mark.usefixtures("terminal")
def test_people_are_not_asked_where_there_is_nothing_to_do(desk: Desk, file: str) -> None:
    desk.answers("POST /jobqueues/plan", planned())
    result = desk.types("apply", file)
    assert (result.exit_code, "nothing is different" in result.stdout) == (0, True)
    assert desk.farm.called("POST /jobqueues/apply") == []
