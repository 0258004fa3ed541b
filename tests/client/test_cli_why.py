"""`farmqueue why …`"""

import json
from typing import Any

import pytest

from tests.client.desk import Desk, Json, listed, queue

STEP: Json = {
    "queue": {"kind": "queue", "id": None, "name": "/"},
    "node": {"kind": "queue", "id": 3, "name": "/films"},
    "other": {"kind": "queue", "id": 4, "name": "/tv"},
    "rule": "share",
    "sentence": "/tv goes before /films: its share is smaller, 2/10 against 3/10",
}


def explanation(**fields: Any) -> Json:
    return {
        "reasons": [{"code": "paused", "sentence": "/films is paused"}],
        "change": {"sentence": "resume /films", "at_once": True},
        "agent": {"id": "a1", "hostname": "node1"},
        "walk": [STEP],
    } | fields


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_job_says_why_what_would_help_and_the_walk(desk: Desk) -> None:
    desk.answers("GET /jobs/12/explain", explanation())
    assert desk.types("why", "job", "12").stdout.splitlines() == [
        "why\t/films is paused",
        "would help\tresume /films",
        "/\t/tv goes before /films: its share is smaller, 2/10 against 3/10",
    ]


def test_a_change_that_waits_for_an_agent_says_so(desk: Desk) -> None:
    later = {"sentence": "set priority of job 12 to 6", "at_once": False}
    desk.answers("GET /jobs/12/explain", explanation(change=later))
    assert desk.types("why", "job", "12").stdout.splitlines()[1] == (
        "would help\tset priority of job 12 to 6, for the next agent that is free"
    )


def test_one_agent_may_be_asked_for(desk: Desk) -> None:
    desk.answers("GET /jobs/12/explain", explanation())
    desk.types("why", "job", "12", "--agent", "a1")
    assert desk.asked("GET /jobs/12/explain").query == {"agent_id": "a1"}


def test_a_queue_goes_by_its_path(desk: Desk) -> None:
    desk.answers("GET /jobqueues", listed(queue(id=3)))
    desk.answers("GET /jobqueues/3/explain", explanation(change=None))
    assert desk.types("why", "queue", "/films").stdout.startswith("why\t/films is paused")


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["agent", "a1"], "GET /agents/a1/explain"),
        (["assignment", "7"], "GET /assignments/7/explain"),
    ],
)
def test_agents_and_assignments_say_why(desk: Desk, words: list[str], call: str) -> None:
    found = {"agent": {"id": "a1", "hostname": "node1"}, "walk": [STEP]}
    desk.answers(call, found)
    assert desk.types("why", *words).stdout == f"/\t{STEP['sentence']}\n"


def test_json_is_the_answer_as_it_came(desk: Desk) -> None:
    desk.answers("GET /jobs/12/explain", explanation())
    assert json.loads(desk.types("why", "job", "12", "--json").stdout) == explanation()
