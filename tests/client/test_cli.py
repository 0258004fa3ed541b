"""The command line: exit codes, errors that say what to do, JSON."""

import json
from typing import Any

import pytest

from farmqueue import __version__
from tests.client.desk import Desk, agent, job, listed, node, queue, task


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("status", "exit_code"),
    [(404, 3), (409, 4), (422, 5), (413, 5), (401, 7), (403, 7), (500, 6), (503, 6), (418, 1)],
)
def test_an_error_is_a_sentence_and_an_exit_code(desk: Desk, status: int, exit_code: int) -> None:
    desk.refuses("GET /jobs/12", status, "some_code", detail="it cannot be")
    result = desk.types("job", "12")
    assert result.exit_code == exit_code
    assert result.stderr.startswith("farmqueue: it cannot be\n")
    assert result.stdout == ""


def test_a_service_that_is_away_is_named_with_what_to_do(desk: Desk) -> None:
    desk.farm.away = True
    result = desk.types("jobs", "--url", "http://elsewhere:9")
    assert result.exit_code == 6
    assert "no answer from http://elsewhere:9/jobs: connection refused" in result.stderr
    assert "FARMQUEUE_URL" in result.stderr


def test_a_refused_field_is_named(desk: Desk) -> None:
    wrong = [{"field": "weight", "message": "too heavy"}]
    desk.refuses("POST /jobqueues", 422, "invalid", detail="wrong", errors=wrong)
    assert "weight: too heavy" in desk.types("queue", "create", "/films").stderr


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["job", "paws", "12"],
        ["job", "12x"],
        ["queue", "set", "/films"],
        ["queue", "set", "/films", "--minimum", "few"],
        ["job", "set", "12"],
        ["submit"],
        ["submit", "title"],
        ["submit", "--", "render"],
        ["submit", "title", "--env", "SHOT", "--", "render"],
        ["submit", "--file", "/no/such/file"],
    ],
)
def test_wrong_usage_exits_with_2_and_asks_the_service_nothing(
    desk: Desk, words: list[str]
) -> None:
    result = desk.types(*words)
    assert result.exit_code == 2
    assert result.stderr
    assert desk.farm.calls == []


def test_the_exit_codes_are_in_the_help(desk: Desk) -> None:
    assert "Exit codes" in desk.types("--help").stdout


def test_the_version_is_printed(desk: Desk) -> None:
    assert desk.types("--version").stdout == f"{__version__}\n"


def test_the_address_comes_from_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMQUEUE_URL", "http://elsewhere:9")
    desk.farm.away = True
    assert "http://elsewhere:9/jobs" in desk.types("jobs").stderr


@pytest.mark.parametrize(
    ("words", "key", "answer", "printed"),
    [
        ("jobs", "GET /jobs", listed(job()), [job()]),
        ("job 12", "GET /jobs/12", job(), {**job(), "failed_tasks": []}),
        ("job 12 --tasks", "GET /jobs/12/tasks", listed(task()), [task()]),
        ("job pause 12", "POST /jobs/12/pause", job(), [job()]),
        ("job set 12 --priority 1", "PATCH /jobs/12", job(), [job()]),
        ("submit t --", "POST /jobs", job(), job()),
        ("queues", "GET /jobqueues/tree", node("", "/"), node("", "/")),
        ("queue create /a", "POST /jobqueues", queue(), queue()),
        ("queue pause /a", "PATCH /jobqueues/3", queue(), queue()),
        ("queue /a", "GET /jobqueues/3", queue(), queue()),
        ("agents", "GET /agents", listed(agent()), [agent()]),
        ("agents show a1", "GET /agents/a1", agent(), agent()),
        ("agents drain a1", "PATCH /agents/a1", agent(), [agent()]),
        ("watch 12", "GET /jobs/12", job(state="done"), [job(state="done")]),
    ],
)
def test_json_is_printed_when_asked_for(
    desk: Desk, words: str, key: str, answer: Any, printed: Any
) -> None:
    desk.answers("GET /jobqueues", listed(queue()))
    desk.answers(key, answer)
    if key != "GET /jobs/12/tasks":
        desk.answers("GET /jobs/12/tasks", listed())
    before, dashes, _ = words.partition(" --")
    command = [*before.split(), "--json", *(["--", "run"] if words.endswith(" --") else [])]
    if dashes and not words.endswith(" --"):
        command += words.split()[len(before.split()) :]
    result = desk.types(*command)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == printed
