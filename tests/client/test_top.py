"""`farmqueue top` and `farmqueue tree`: what is seen, in a terminal and through a pipe."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from farmqueue.cli.keys import named
from farmqueue.cli.screen import bar, layout_for, line, rows_of
from farmqueue.cli.view import View
from tests.client.desk import Desk, Json, listed, node, queue
from tests.client.farm import Farm, listening, problem
from tests.client.terminal import terminal


def film(name: str, assigned: int = 0, *children: Json, **fields: Any) -> Json:
    plain: Json = {"assigned_agents": assigned, "maximum_agents": None, "entitled_agents": 0}
    made = node(name, f"/{name}", *children)
    return made | plain | {"id": sum(map(ord, name)), "tasks": tasks(0)} | fields


def tasks(waiting: int, running: int = 0) -> Json:
    return {"waiting": waiting, "running": running}


def root(*children: Json, **fields: Any) -> Json:
    return film("", 3, *children, tasks=tasks(9, 3)) | {"id": None, "fullpath": "/"} | fields


def view_of(tree: Json) -> View:
    return View(tree, "http://farm")  # type: ignore[arg-type]


def drawn(view: View, width: int = 100, height: int = 12) -> list[str]:
    return view.draw(width, height).plain.split("\n")


def names(lines: list[str]) -> list[str]:
    return [each.split()[0] for each in lines[2:-1] if each.strip()]


# --- a bar ---


def cells(assigned: int, width: int = 10, scale: int = 10, **fields: Any) -> str:
    return bar(film("a", assigned, **fields), width, scale).plain  # type: ignore[arg-type]


def test_a_bar_has_the_agents_and_marks_of_what_the_queue_may_have() -> None:
    assert cells(0) == "··········"
    assert cells(4) == "████······"
    assert cells(4, scale=32, width=4) == "▌···"
    marked = cells(3, minimum_agents=2, entitled_agents=5, maximum_agents=8)
    assert marked == "█[█·|··]··"


def test_a_mark_that_is_beyond_the_bar_or_at_nothing_is_not_drawn() -> None:
    assert cells(2, minimum_agents=0, entitled_agents=0, maximum_agents=11) == "██········"
    assert cells(20) == "██████████"
    assert cells(1, width=0) == ""


# --- the rows ---


def test_rows_are_ordered_among_siblings_and_each_below_its_parent() -> None:
    tree = root(
        film("b", 1, film("z"), film("y", priority=5)), film("a", 2), film("c", tasks=tasks(7))
    )
    order = {
        word: [row.node["name"] for row in rows_of(tree, word)]  # type: ignore[arg-type]
        for word in ("name", "agents", "waiting", "priority")
    }
    assert order == {
        "name": ["", "a", "b", "y", "z", "c"],
        "agents": ["", "a", "b", "y", "z", "c"],
        "waiting": ["", "c", "a", "b", "y", "z"],
        "priority": ["", "a", "b", "y", "z", "c"],
    }


def test_a_row_is_as_wide_as_the_screen_whatever_the_name() -> None:
    deep = film("deep", 1, film("x" * 200), film("映画" * 30), film("\x1b[31mred"), paused=True)
    rows = rows_of(root(deep))  # type: ignore[arg-type]
    for width in (40, 60, 80, 200):
        layout = layout_for(rows, width)
        for row in rows:
            made = line(row, layout)
            assert made.cell_len <= width
            assert "\x1b" not in made.plain
    assert " paused" in line(rows[1], layout).plain


# --- what keys do ---


def test_what_is_read_of_a_terminal_is_cut_into_keys() -> None:
    assert named("jq\x1b[A\x1bOB\x1b[6~ ") == ["j", "q", "up", "down", "page down", " "]


def test_only_what_fits_is_drawn_and_the_chosen_queue_is_among_it() -> None:
    view = view_of(root(*(film(f"q{number:04}") for number in range(2_000))))
    assert len(drawn(view)) == 12
    assert names(drawn(view)) == ["/", *(f"q{number:04}" for number in range(8))]
    assert drawn(view)[-1].startswith("1-9 of 2001 queues by name")
    for key in ("page down", "down", "page down"):
        view.press(key)
    assert names(drawn(view))[0] == "q0017"
    for _ in range(300):
        view.press("page down")
    assert names(drawn(view))[-1] == "q1999"
    for _ in range(300):
        view.press("page up")
    assert names(drawn(view))[0] == "/"
    assert len(drawn(view, 10, 1)) == 1


def test_a_queue_is_folded_and_says_how_many_it_hides() -> None:
    view = view_of(root(film("a", 0, film("b", 0, film("c")))))
    view.press("down")
    view.press(" ")
    assert "a +2" in drawn(view)[3]
    view.press("\r")
    assert names(drawn(view)) == ["/", "a", "b", "c"]
    view.press("down")
    view.press("j")
    view.press(" ")  # there is nothing below it
    assert names(drawn(view)) == ["/", "a", "b", "c"]


def test_queues_without_work_are_left_out_and_come_back() -> None:
    view = view_of(root(film("a"), film("b", tasks=tasks(1)), film("c", 1)))
    view.press("w")
    assert names(drawn(view)) == ["/", "b", "c"]
    for _ in range(5):
        view.press("down")
    view.tree = root()  # type: ignore[assignment]  # all that was chosen from is gone
    assert names(drawn(view)) == ["/"]
    view.press("w")
    view.press("x")
    view.press("q")
    assert view.over


# --- through a pipe ---


@pytest.fixture
def desk() -> Desk:
    made = Desk()
    hero = film("hero", 1, minimum_agents=2, entitled_agents=2, maximum_agents=8, paused=True)
    made.answers("GET /jobqueues/tree", root(hero, entitled_agents=None))
    return made


PLAIN = ["/\t3\t-\t-\t-\t9\t3\t0\t10\tno", "/hero\t1\t2\t2\t8\t0\t0\t0\t10\tyes"]


@pytest.mark.parametrize("words", [["tree"], ["top", "--once"]])
def test_a_pipe_gets_plain_lines(desk: Desk, words: list[str]) -> None:
    assert desk.types(*words).stdout.splitlines() == PLAIN


@pytest.mark.parametrize("words", [["tree", "--json"], ["top", "--once", "--json"]])
def test_a_program_gets_the_tree_as_it_is(desk: Desk, words: list[str]) -> None:
    assert json.loads(desk.types(*words).stdout)["children"][0]["name"] == "hero"


def test_a_part_is_looked_at(desk: Desk) -> None:
    desk.answers("GET /jobqueues", listed(queue()))
    assert desk.types("top", "/films/hero", "--once").exit_code == 0
    assert desk.asked("GET /jobqueues/tree").query == {"root": "3"}


def test_people_see_the_tree_once_with_bars(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farmqueue.cli.top.for_people", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    heading, _, hero = desk.types("tree").stdout.splitlines()
    assert heading.split()[:3] == ["queue", "agents", "share"]
    assert hero.split()[:2] == ["hero", "paused"]
    assert "█" in hero


def test_a_pipe_gets_one_look_after_the_other_though_the_service_goes_away() -> None:
    farm = Farm()
    farm.answers["GET /jobqueues/tree"] = root()
    with listening(farm) as url:
        command = [sys.executable, "-m", "farmqueue", "top", "--interval", "0.1", "--url", url]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            look = [process.stdout.readline(), process.stdout.readline()]
            farm.refuse["GET /jobqueues/tree"] = problem(503, "unavailable", "it restarts")
            assert "it restarts; trying again" in process.stderr.readline()
            del farm.refuse["GET /jobqueues/tree"]
            while process.stdout.readline() != "\n":
                pass
            assert [process.stdout.readline(), process.stdout.readline()] == look
            assert look == ["/\t3\t0\t-\t-\t9\t3\t0\t10\tno\n", "\n"]
            process.stdout.close()  # whoever reads has enough
            assert process.wait() == 0
            assert process.stderr.read() == ""


# --- in a terminal ---


def environ(url: str) -> dict[str, str]:
    return {"FARMQUEUE_URL": url}


def test_a_terminal_shows_the_farm_as_it_changes_until_a_key_ends_it() -> None:
    farm = Farm()
    farm.answers["GET /jobqueues/tree"] = root(film("films", 1), film("tv", 2))
    with (
        listening(farm) as url,
        terminal("top", "--interval", "0.1", environ=environ(url), columns=90, lines=10) as shell,
    ):
        shell.until(lambda lines: lines[4].startswith("  tv") and lines[-1].startswith("3 queues"))
        assert "3 agents at work, 9 tasks wait, 3 run" in shell.lines[0]
        shell.press("s")
        shell.until(lambda lines: lines[3].startswith("  tv") and "by agents" in lines[-1])
        farm.answers["GET /jobqueues/tree"] = root(film("films", 3), film("tv", 0))
        shell.until(lambda lines: lines[3].startswith("  films"))
        farm.refuse["GET /jobqueues/tree"] = problem(503, "unavailable", "it restarts")
        shell.until(lambda lines: lines[0].startswith("it restarts (0 s; trying again)"))
        assert shell.lines[3].startswith("  films")
        del farm.refuse["GET /jobqueues/tree"]
        shell.until(lambda lines: "agents at work" in lines[0])
        shell.resize(60, 6)
        shell.until(lambda lines: lines[-1].startswith("3 queues"))
        assert len(shell.lines) == 6
        shell.press("q")
        assert shell.end() == 0


@pytest.fixture
def _hears_ctrl_c() -> Iterator[None]:
    """What runs in the background of a shell lets its children ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_hears_ctrl_c")
def test_ctrl_c_ends_it() -> None:
    farm = Farm()
    farm.answers["GET /jobqueues/tree"] = root()
    with listening(farm) as url, terminal("top", environ=environ(url)) as shell:
        shell.until(lambda lines: lines[-1].startswith("1 queues"))
        shell.process.send_signal(signal.SIGINT)
        assert shell.end() == 0


def test_a_service_that_is_not_there_at_first_is_an_error() -> None:
    with terminal("top", environ=environ("http://127.0.0.1:9")) as shell:
        assert shell.end() == 6
        assert any("no answer from http://127.0.0.1:9" in each for each in shell.lines)
    assert "FARMQUEUE_URL" not in os.environ
