"""What the demo shows of a farm."""

from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console

from examples.demo.screen import Lines, table
from examples.demo.watching import Look, Work, has_ended
from farmqueue.model import Job, QueueNode


def queue(name: str, *children: QueueNode, parent: str = "", **fields: Any) -> QueueNode:
    plain = {"priority": 0, "weight": 10, "minimum_agents": None, "maximum_agents": None}
    node = {
        "name": name,
        "fullpath": f"{parent}/{name}",
        "assigned_agents": 0,
        "children": [*children],
    }
    return cast("QueueNode", {**plain, **node, **fields})


def job(job_id: int, title: str, where: str, state: str = "queued", **fields: Any) -> Job:
    tasks = {"waiting": 0, "running": 0, "done": 0, "failed": 0, **fields.pop("tasks", {})}
    plain = {"id": job_id, "title": title, "queue": where, "state": state, "tasks": tasks}
    return cast("Job", {"assigned_agents": 0, "blocked_by": [], **plain, **fields})


def look(*jobs: Job, agents: int = 2, work: dict[int, list[Work]] | None = None) -> Look:
    day = queue("day", parent="/films", assigned_agents=agents, maximum_agents=3)
    root = queue("", queue("films", day, assigned_agents=agents, minimum_agents=1, priority=5))
    return Look(12.4, root, list(jobs), work or {})


def drawn(seen: Look) -> str:
    console = Console(record=True, width=120, file=StringIO())
    console.print(table(seen))
    return console.export_text()


def test_the_table_shows_queues_their_rules_and_how_many_agents_they_have() -> None:
    lines = drawn(look()).splitlines()
    films = next(line for line in lines if "/films" in line)
    day = next(line for line in lines if "/day" in line)
    assert "weight 10, priority 5, min 1" in films
    assert "weight 10, max 3" in day
    assert films.count("●") == day.count("●") == 2


def test_the_table_shows_jobs_under_their_queue_and_who_works_on_what() -> None:
    tasks = {"waiting": 11, "running": 6, "done": 3}
    going = job(7, "Shot 7", "/films/day", "running", tasks=tasks)
    work = {7: [Work(2, "4-6", 3, 0.5), Work(4, "7-9", 3, 0.25)]}
    lines = drawn(look(going, work=work)).splitlines()
    place = next(number for number, line in enumerate(lines) if "Shot 7" in line)
    assert "/day" in lines[place - 1]
    assert "#2: 4-6  #4: 7-9" in lines[place]
    assert lines[place].rstrip().endswith("3/20")
    assert "11 waiting, 6 running, 3 done" in lines[0]


def test_a_bar_counts_what_is_done_of_the_tasks_that_run() -> None:
    tasks = {"waiting": 0, "running": 6, "done": 4}
    half = job(7, "Shot", "/films/day", "running", tasks=tasks)
    done = drawn(look(half, work={7: [Work(1, "5-10", 6, 1.0)]}))
    begun = drawn(look(half, work={7: [Work(1, "5-10", 6, 0.0)]}))
    assert "━" * 10 in done
    assert "━" * 4 in begun
    assert done != begun


def test_the_table_says_what_a_job_waits_for() -> None:
    parents = [{"id": number, "title": "shot", "state": "running"} for number in (1, 2)]
    assert "waits for 2 jobs" in drawn(look(job(3, "Cut", "/films/day", blocked_by=parents)))
    assert "waits for 1 job " in drawn(look(job(3, "Cut", "/films/day", blocked_by=parents[:1])))


def test_the_table_of_the_sample_farm_fits_a_small_terminal() -> None:
    going = job(7, "Fjord at sunset", "/films/day", "running", tasks={"running": 20})
    work = {7: [Work(number, f"{number}0-{number}5", 6, 0.5) for number in (1, 2, 3)]}
    console = Console(record=True, width=80, file=StringIO())
    console.print(table(look(going, work=work)))
    assert "…" not in console.export_text()


def test_a_title_in_brackets_is_shown_as_it_is() -> None:
    assert "[bold] 100%" in drawn(look(job(3, "[bold] 100%", "/films/day")))


def test_lines_tell_changes_and_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    waiting, running = (job(7, "Shot", "/films/day", state) for state in ("queued", "running"))
    for seen in (look(waiting, agents=0), look(running), look(running), look(running, agents=1)):
        lines.show(seen)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("job")] == [
        "job 7 'Shot' is queued",
        "job 7 'Shot' is running",
    ]
    assert [line.partition("agents: ")[2] for line in said if "agents: " in line] == [
        "2 in /films/day",
        "1 in /films/day",
    ]


@pytest.mark.parametrize(
    ("state", "parent", "ended"),
    [
        ("done", None, True),
        ("failed", None, True),
        ("running", None, False),
        ("queued", None, False),
        ("queued", "running", False),
        ("queued", "failed", True),
    ],
)
def test_a_job_has_ended_when_nothing_more_becomes_of_it(
    state: str, parent: str | None, *, ended: bool
) -> None:
    blocked = [{"id": 1, "title": "parent", "state": parent}] if parent else []
    assert has_ended(job(2, "child", "/films", state, blocked_by=blocked)) is ended
