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


def test_only_a_service_that_is_away_is_asked_whether_it_runs(desk: Desk) -> None:
    desk.refuses("GET /jobs", 503, "database_unavailable", detail="the database is away")
    result = desk.types("jobs")
    assert result.exit_code == 6
    assert result.stderr == "farmqueue: the database is away\n"


def test_an_address_without_a_scheme_is_refused_with_what_to_write(desk: Desk) -> None:
    result = desk.types("jobs", "--url", "localhost:8790")
    assert result.stderr.startswith("farmqueue: localhost:8790 is no address")
    assert "http://" in result.stderr


def test_a_token_that_cannot_be_sent_is_wrong_usage_and_not_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMQUEUE_TOKEN", "hush\nhush")
    result = desk.types("jobs")
    assert result.exit_code == 2
    assert "FARMQUEUE_TOKEN" in result.stderr
    assert "hush" not in result.output
    assert desk.farm.calls == []


@pytest.mark.parametrize(
    ("words", "option", "verb"),
    [
        ("agents --url http://u:hush@b disable a1", "--url", "disable"),
        ("agents --url=http://u:hush@b disable a1", "--url", "disable"),
        ("agents --json delete a1", "--json", "delete"),
        ("agents --state online drain a1", "--state", "drain"),
        ("job --url=http://u:hush@b pause 12", "--url", "pause"),
        ("queue --json delete /a", "--json", "delete"),
    ],
)
def test_an_option_before_the_verb_that_would_not_see_it_is_refused(
    desk: Desk, words: str, option: str, verb: str
) -> None:
    result = desk.types(*words.split())
    assert result.exit_code == 2
    told = " ".join(result.stderr.replace("│", " ").split())
    assert f"{option} stands before {verb}: write the options of {verb} after it" in told
    assert "hush" not in result.output
    assert desk.farm.calls == []


def test_an_address_from_the_environment_may_stand_before_a_verb(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARMQUEUE_URL", "http://farm")
    desk.answers("PATCH /agents/a1", agent())
    assert desk.types("agents", "enable", "a1").exit_code == 0


@pytest.mark.parametrize("words", ["job --json 12", "job --url http://farm --json 12"])
def test_a_job_is_shown_whatever_stands_first(desk: Desk, words: str) -> None:
    desk.answers("GET /jobs/12", job())
    desk.answers("GET /jobs/12/tasks", listed())
    assert json.loads(desk.types(*words.split()).stdout)["id"] == 12


@pytest.mark.parametrize("group", ["job", "queue", "agents"])
def test_the_help_of_a_group_names_its_verbs(desk: Desk, group: str) -> None:
    assert "delete" in desk.types(group, "--help").stdout


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
        ["submit", "title", "--start", "nan", "--", "render"],
        ["submit", "title", "--frames", "1", "--timeout", "inf", "--", "render"],
        ["jobs", "--url", "localhost:8790"],
        ["agent", "--url", "localhost:8790"],
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
        ("job delete 12", "DELETE /jobs/12", None, [12]),
        ("queue pause /a", "PATCH /jobqueues/3", queue(), queue()),
        ("queue delete /a", "DELETE /jobqueues/3", None, [3]),
        ("queue /a", "GET /jobqueues/3", queue(), queue()),
        ("agents", "GET /agents", listed(agent()), [agent()]),
        ("agents show a1", "GET /agents/a1", agent(), agent()),
        ("agents delete a1", "DELETE /agents/a1", None, ["a1"]),
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
