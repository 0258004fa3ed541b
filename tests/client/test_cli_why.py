"""`farmqueue why …`"""

import json
from typing import Any

import pytest

from tests.client.desk import Desk, Json, listed, queue

ID = "20f1b560-f39a-4098-b8fa-4aa6999fd52e"

STEP: Json = {
    "queue": {"kind": "queue", "id": None, "name": "/"},
    "node": {"kind": "queue", "id": 3, "name": "/films"},
    "other": {"kind": "queue", "id": 4, "name": "/tv"},
    "rule": "share",
    "candidates": 3,
    "owed": 0,
    "place": 2,
    "sentence": "/tv goes before /films: its share is smaller, 2/10 against 3/10",
}


def explanation(**fields: Any) -> Json:
    return {
        "reasons": [{"code": "paused", "sentence": "/films is paused"}],
        "change": {"sentence": "resume /films", "at_once": True},
        "agent": {"id": ID, "hostname": "node1"},
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
        "/\t2\t3\t0\t/tv goes before /films: its share is smaller, 2/10 against 3/10",
    ]


def test_a_change_that_waits_for_an_agent_says_so(desk: Desk) -> None:
    later = {"sentence": "set priority of job 12 to 6", "at_once": False}
    desk.answers("GET /jobs/12/explain", explanation(change=later))
    assert desk.types("why", "job", "12").stdout.splitlines()[1] == (
        "would help\tset priority of job 12 to 6, for the next agent that is free"
    )


def test_one_agent_may_be_asked_for(desk: Desk) -> None:
    desk.answers("GET /jobs/12/explain", explanation())
    desk.types("why", "job", "12", "--agent", ID)
    assert desk.asked("GET /jobs/12/explain").query == {"agent_id": ID}


def test_an_agent_goes_by_its_host(desk: Desk) -> None:
    desk.answers("GET /agents", listed({"id": ID, "hostname": "node1"}))
    desk.answers("GET /jobs/12/explain", explanation())
    desk.answers(f"GET /agents/{ID}/explain", explanation())
    desk.types("why", "job", "12", "--agent", "node1")
    assert desk.asked("GET /jobs/12/explain").query == {"agent_id": ID}
    assert desk.types("why", "agent", "node1").exit_code == 0
    assert desk.asked(f"GET /agents/{ID}/explain")


def test_a_host_with_no_agent_or_several_is_told_in_words(desk: Desk) -> None:
    desk.answers("GET /agents", listed())
    nobody = desk.types("why", "agent", "node1")
    assert "no agent node1: `farmqueue agents` lists them" in nobody.stderr
    desk.answers("GET /agents", listed({"id": ID}, {"id": "another"}))
    several = desk.types("why", "agent", "node1")
    assert (nobody.exit_code, several.exit_code) == (3, 2)
    assert "2 agents are on node1" in several.stderr


def test_a_queue_goes_by_its_path(desk: Desk) -> None:
    desk.answers("GET /jobqueues", listed(queue(id=3)))
    desk.answers("GET /jobqueues/3/explain", explanation(change=None))
    assert desk.types("why", "queue", "/films").stdout.startswith("why\t/films is paused")


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["agent", ID], f"GET /agents/{ID}/explain"),
        (["assignment", "7"], "GET /assignments/7/explain"),
    ],
)
def test_agents_and_assignments_say_why(desk: Desk, words: list[str], call: str) -> None:
    step = {name: STEP[name] for name in ("queue", "node", "other", "rule", "sentence")}
    found = {"agent": {"id": ID, "hostname": "node1"}, "walk": [step | {"owed": False}]}
    desk.answers(call, found)
    assert desk.types("why", *words).stdout == f"/\t1\t-\t-\t{STEP['sentence']}\n"


def test_json_is_the_answer_as_it_came(desk: Desk) -> None:
    desk.answers("GET /jobs/12/explain", explanation())
    assert json.loads(desk.types("why", "job", "12", "--json").stdout) == explanation()
