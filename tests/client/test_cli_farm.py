"""The commands that look at jobs, queues and agents, and act on them."""

import json
import unicodedata

import pytest

from tests.client.desk import Desk, Json, agent, job, listed, node, queue, task


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_jobs_go_into_a_pipe_as_lines_with_tabs(desk: Desk) -> None:
    desk.answers("GET /jobs", listed(job(title="a\tb\n"), job(id=13, queue=None)))
    result = desk.types("jobs", "--state", "running", "--queue", "/films")
    assert result.stdout.splitlines() == [
        "12\ta\\tb\\n\t/films/hero\trunning\t0\t3\t10\t2\t2026-11-24T03:00:00Z",
        "13\tshot 010\t-\trunning\t0\t3\t10\t2\t2026-11-24T03:00:00Z",
    ]
    assert desk.asked("GET /jobs").query == {"state": "running", "queue": "/films"}


def test_no_more_jobs_are_printed_than_asked_for(desk: Desk) -> None:
    desk.answers("GET /jobs", listed(*(job(id=id_) for id_ in range(5))))
    assert len(desk.types("jobs", "--limit", "2").stdout.splitlines()) == 2


@pytest.mark.parametrize("words", [["job", "12"], ["job", "show", "12"]])
def test_a_job_says_why_its_tasks_failed(desk: Desk, words: list[str]) -> None:
    desk.answers("GET /jobs/12", job(tasks={"waiting": 0, "running": 0, "done": 9, "failed": 1}))
    desk.answers("GET /jobs/12/tasks", listed(task()))
    lines = desk.types(*words).stdout.splitlines()
    assert "state\trunning" in lines
    assert "failed frame 7 tile 0\texit code 1" in lines
    assert desk.asked("GET /jobs/12/tasks").query["state"] == "failed"


def test_a_job_says_when_it_is_expected_to_end(desk: Desk) -> None:
    spread = {"p10": "2026-11-24T04:00:00Z", "p50": "2026-11-24T05:00:00Z", "p90": "later"}
    estimate = {"as_of": "2026-11-24T03:00:00Z", "start": None, "finish": spread}
    desk.answers("GET /jobs/12", job(position=7, estimate=estimate))
    lines = desk.types("job", "12").stdout.splitlines()
    assert "assignments ahead\t7" in lines
    assert "expected end\t2026-11-24T05:00:00Z (2026-11-24T04:00:00Z to later)" in lines
    desk.answers("GET /jobs/12", job(position=None, estimate=None))
    assert "expected" not in desk.types("job", "12").stdout


def test_a_job_says_what_it_waits_for(desk: Desk) -> None:
    blocking = [{"id": 11, "title": "sim", "state": "failed"}]
    waiting = job(state="queued", reason="waits for job 11, which failed", blocked_by=blocking)
    desk.answers("GET /jobs/12", waiting)
    desk.answers("GET /jobs/12/tasks", listed())
    lines = desk.types("job", "12").stdout.splitlines()
    assert "why\twaits for job 11, which failed" in lines
    assert "waits for\t11 (failed)" in lines


def test_the_tasks_of_a_job_are_listed(desk: Desk) -> None:
    desk.answers("GET /jobs/12/tasks", listed(task(), task(id=100, frame=1.5, agent_id="a1")))
    assert desk.types("job", "12", "--tasks").stdout.splitlines() == [
        "99\t7\t0\tfailed\t4\t4\t25%\t-",
        "100\t1.5\t0\tfailed\t4\t4\t25%\ta1",
    ]


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (["pause", "12"], "pause", {"stop": False}),
        (["pause", "12", "--stop"], "pause", {"stop": True}),
        (["resume", "12"], "resume", None),
        (["rerun", "12"], "rerun", None),
        (["rerun", "12", "--failed"], "rerun-failed", None),
    ],
)
def test_a_verb_acts_on_a_job(desk: Desk, words: list[str], path: str, body: Json | None) -> None:
    desk.answers(f"POST /jobs/12/{path}", job(state="paused"))
    result = desk.types("job", *words)
    assert (result.exit_code, result.stdout.split("\t")[3]) == (0, "paused")
    assert desk.asked(f"POST /jobs/12/{path}").body == body


def test_a_verb_acts_on_several_jobs(desk: Desk) -> None:
    for id_ in (1, 2):
        desk.answers(f"POST /jobs/{id_}/resume", job(id=id_))
    assert len(desk.types("job", "resume", "1", "2").stdout.splitlines()) == 2


def test_a_job_is_changed(desk: Desk) -> None:
    desk.answers("PATCH /jobs/12", job())
    words = "job set 12 --title new --queue / --priority -5 --weight 0 --minimum none --maximum 4"
    assert desk.types(*words.split()).exit_code == 0
    assert desk.asked("PATCH /jobs/12").body == {
        "title": "new",
        "queue": "/",
        "priority": -5,
        "weight": 0,
        "minimum_agents": None,
        "maximum_agents": 4,
    }


def test_jobs_are_deleted(desk: Desk) -> None:
    for id_ in (1, 2):
        desk.answers(f"DELETE /jobs/{id_}", None)
    assert desk.types("job", "delete", "1", "2").exit_code == 0
    assert [call.path for call in desk.farm.calls] == ["/jobs/1", "/jobs/2"]


def test_the_tree_goes_into_a_pipe_as_paths(desk: Desk) -> None:
    tree = node("", "/", node("films", "/films", node("hero", "/films/hero")))
    desk.answers("GET /jobqueues/tree", tree)
    lines = desk.types("queues").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["/", "/films", "/films/hero"]
    assert lines[1] == "/films\t0\t10\t-\t8\t2\t5\t1\tno"


def test_a_part_of_the_tree_is_shown(desk: Desk) -> None:
    desk.answers("GET /jobqueues", listed(queue()))
    desk.answers("GET /jobqueues/tree", node("hero", "/films/hero"))
    assert desk.types("queues", "/films/hero").exit_code == 0
    assert desk.asked("GET /jobqueues").query == {"fullpath": "/films/hero"}
    assert desk.asked("GET /jobqueues/tree").query == {"root": "3"}


def test_a_queue_is_made_below_another(desk: Desk) -> None:
    desk.answers("POST /jobqueues", queue())
    words = (
        "queue create /films/hero --priority 5 --weight 60 --minimum 2 --maximum 8"
        " --prefer-running-jobs --paused"
    )
    result = desk.types(*words.split())
    assert result.stdout.splitlines()[0] == "queue\t/films/hero"
    assert desk.asked("POST /jobqueues").body == {
        "name": "hero",
        "parent": "/films",
        "priority": 5,
        "weight": 60,
        "minimum_agents": 2,
        "maximum_agents": 8,
        "prefer_running_jobs": True,
        "paused": True,
    }


@pytest.mark.parametrize("path", ["/films", "films"])
def test_a_queue_is_made_at_the_top(desk: Desk, path: str) -> None:
    desk.answers("POST /jobqueues", queue())
    desk.types("queue", "create", path)
    assert desk.asked("POST /jobqueues").body == {"name": "films"}


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("set PATH --maximum none --minimum 2", {"maximum_agents": None, "minimum_agents": 2}),
        ("set PATH --no-prefer-running-jobs", {"prefer_running_jobs": False}),
        ("set PATH --priority 0", {"priority": 0}),
        ("move PATH /tv", {"parent": "/tv"}),
        ("move PATH /", {"parent": "/"}),
        ("rename PATH villain", {"name": "villain"}),
        ("pause PATH", {"paused": True}),
        ("resume PATH", {"paused": False}),
    ],
)
def test_a_queue_is_changed_by_its_path(desk: Desk, words: str, body: Json) -> None:
    desk.answers("GET /jobqueues", listed(queue()))
    desk.answers("PATCH /jobqueues/3", queue())
    result = desk.types("queue", *words.replace("PATH", "/films/hero").split())
    assert result.exit_code == 0, result.stderr
    assert desk.asked("PATCH /jobqueues/3").body == body


def test_a_queue_is_deleted_by_its_path(desk: Desk) -> None:
    desk.answers("GET /jobqueues", listed(queue()))
    desk.answers("DELETE /jobqueues/3", None)
    assert desk.types("queue", "delete", "/films/hero").exit_code == 0
    assert desk.asked("DELETE /jobqueues/3")


def test_a_queue_that_is_not_there_is_named(desk: Desk) -> None:
    desk.answers("GET /jobqueues", listed())
    result = desk.types("queue", "pause", "/flims")
    assert result.exit_code == 3
    assert "no queue /flims" in result.stderr


@pytest.mark.parametrize("words", ["set / --maximum 1", "pause /", "delete /", "rename / a"])
def test_the_root_is_said_not_to_be_changed(desk: Desk, words: str) -> None:
    result = desk.types("queue", *words.split())
    assert result.exit_code == 2
    assert "the root / is no queue itself" in " ".join(result.stderr.replace("│", " ").split())
    assert desk.farm.calls == []


def test_the_tree_from_the_root_is_the_whole_tree(desk: Desk) -> None:
    desk.answers("GET /jobqueues/tree", node("", "/"))
    assert desk.types("queues", "/").exit_code == 0
    assert desk.asked("GET /jobqueues/tree").query == {}


@pytest.mark.parametrize("words", [["queue", "/films/hero"], ["queue", "show", "/films/hero"]])
def test_a_queue_shows_its_children_and_jobs(desk: Desk, words: list[str]) -> None:
    around = {
        "parent": {"id": 1, "name": "films", "fullpath": "/films"},
        "children": [{"id": 4, "name": "light", "fullpath": "/films/hero/light"}],
        "children_total": 1,
        "jobs": [{"id": 12, "title": "shot 010"}],
        "jobs_total": 230,
    }
    desk.answers("GET /jobqueues", listed(queue()))
    desk.answers("GET /jobqueues/3", queue() | around)
    lines = desk.types(*words).stdout.splitlines()
    assert lines[-2:] == ["children (1)\tlight", "jobs (230)\t12 shot 010"]


def test_agents_are_listed_with_what_they_do(desk: Desk) -> None:
    busy = {"id": 5, "job_id": 12, "title": "shot 010", "task_ids": [1, 2]}
    desk.answers("GET /agents", listed(agent(), agent(id="a2", assignment=busy)))
    assert desk.types("agents", "--state", "online", "--hostname", "node7").stdout.splitlines() == [
        "a1\tnode7\tonline\t8\t64000\t32000\tgpu,linux\t-\t-",
        "a2\tnode7\tonline\t8\t64000\t32000\tgpu,linux\t12 shot 010\t2",
    ]
    assert desk.asked("GET /agents").query == {"state": "online", "hostname": "node7"}


@pytest.mark.parametrize(
    ("verb", "state"), [("disable", "disabled"), ("drain", "draining"), ("enable", "online")]
)
def test_an_operator_says_what_an_agent_may_do(desk: Desk, verb: str, state: str) -> None:
    desk.answers("PATCH /agents/a1", agent(state=state))
    result = desk.types("agents", verb, "a1")
    assert result.stdout.split("\t")[2] == state
    assert desk.asked("PATCH /agents/a1").body == {"state": state}


def test_an_agent_is_forgotten(desk: Desk) -> None:
    desk.answers("DELETE /agents/a1", None)
    assert desk.types("agents", "delete", "a1").exit_code == 0


def test_one_agent_is_shown(desk: Desk) -> None:
    desk.answers("GET /agents/a1", agent())
    assert "hostname\tnode7" in desk.types("agents", "show", "a1").stdout.splitlines()


# --- for people ---


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("farmqueue.cli.output.for_people", lambda: True)
    monkeypatch.setattr("farmqueue.cli.queues.for_people", lambda: True)


@pytest.mark.usefixtures("terminal")
def test_people_see_a_table_with_titles_as_they_are(desk: Desk) -> None:
    desk.answers("GET /jobs", listed(job(title="[bold]shot[/] 010")))
    header, row = desk.types("jobs").stdout.splitlines()
    assert header.split() == [
        "id",
        "title",
        "queue",
        "state",
        "priority",
        "done",
        "tasks",
        "agents",
        "submitted",
    ]
    assert "[bold]shot[/] 010" in row


@pytest.mark.usefixtures("terminal")
def test_people_see_the_tree_by_its_depth(desk: Desk) -> None:
    tree = node("", "/", node("films", "/films", node("hero", "/films/hero")))
    desk.answers("GET /jobqueues/tree", tree)
    rows = desk.types("queues").stdout.splitlines()[1:]
    assert [len(row) - len(row.lstrip()) for row in rows] == [0, 2, 4]
    assert [row.split()[0] for row in rows] == ["/", "films", "hero"]


@pytest.mark.usefixtures("terminal")
def test_people_see_a_job_field_by_field(desk: Desk) -> None:
    desk.answers("GET /jobs/12", job())
    desk.answers("GET /jobs/12/tasks", listed())
    lines = [line.split() for line in desk.types("job", "12").stdout.splitlines()]
    assert ["state", "running"] in lines


# --- what others wrote ---

WIPES, COPIES = "\x1b[2J", "\x1b]52;c;cm0gLXJmIH4=\x07"
EVIL = f"a{WIPES}b{COPIES}c\x9b2Jd\re"


def commands(told: str) -> set[str]:
    """What a terminal would obey."""
    return {one for one in told if unicodedata.category(one) == "Cc" and one not in "\n\t"}


@pytest.mark.usefixtures("terminal")
def test_a_title_or_an_error_has_a_terminal_do_nothing(desk: Desk) -> None:
    lost = task(state="failed", last_error=f"line 1\r\n\x1b[31mred\x1b[0m {EVIL}")
    desk.answers(
        "GET /jobs/7",
        job(id=7, title=EVIL, tasks={"waiting": 0, "running": 0, "done": 0, "failed": 1}),
    )
    desk.answers("GET /jobs/7/tasks", listed(lost))
    told = desk.types("job", "7").stdout
    assert commands(told) == set()
    assert "line 1" in told
    assert "red a�[2Jb�]52;c;cm0gLXJmIH4=�c�2Jd�e" in told


def test_into_a_pipe_and_as_json_they_are_escaped(desk: Desk) -> None:
    desk.answers("GET /jobs", listed(job(title=EVIL)))
    told = desk.types("jobs").stdout
    assert commands(told) == set()
    assert r"a\x1b[2Jb\x1b]52;c;cm0gLXJmIH4=\x07c\x9b2Jd\re" in told
    as_json = desk.types("jobs", "--json").stdout
    assert commands(as_json) == set()
    assert json.loads(as_json)[0]["title"] == EVIL


def test_a_refusal_has_a_terminal_do_nothing(desk: Desk) -> None:
    desk.refuses("DELETE /jobs/7", 409, "job_has_dependents", detail=f"these wait for it: {EVIL}")
    told = desk.types("job", "delete", "7")
    assert commands(told.stderr) == set()
    assert "these wait for it: a" in told.stderr
