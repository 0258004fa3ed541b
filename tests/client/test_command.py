"""What an agent runs for which tasks."""

from typing import Any

import pytest

from farmqueue.agent import command
from farmqueue.agent.command import BadCommand
from farmqueue.model import Assignment
from tests.client.farm import Farm


def assignment(*frames: float, **data: Any) -> Assignment:
    work: Any = Farm().give(*frames, **data)
    return work  # type: ignore[no-any-return]


def argv(word: str, *frames: float, per: str = "task") -> list[str]:
    """What the word becomes in each process that is run."""
    work = assignment(*frames, command=["run", word], per=per)
    return [command.command(work, group, {}).argv[1] for group in command.groups(work)]


def test_a_command_runs_once_a_task() -> None:
    assert argv("{frame}", 1, 2, 3) == ["1", "2", "3"]


def test_a_command_runs_once_a_batch_when_told_so() -> None:
    assert argv("{first}..{last} {frames} {count}", 1, 2, 5, per="batch") == ["1..5 1,2,5 3"]


def test_of_one_task_first_and_last_are_its_frame() -> None:
    assert argv("{first}-{last} {frames} {count}", 7) == ["7-7 7 1"]


def test_a_frame_looks_as_people_write_it() -> None:
    assert argv("{frame}", 7.0, 1.5) == ["7", "1.5"]


def test_a_frame_can_be_padded() -> None:
    assert argv("out.{frame:04d}.png", 7) == ["out.0007.png"]


def test_tiles_job_and_task_have_placeholders() -> None:
    work: Any = Farm().give(3, tiles=2, command=["{tile}", "{task_id}", "{job_id}"])
    second = command.groups(work)[1]
    assert command.command(work, second, {}).argv == ["1", "1001", "1"]


def test_the_frames_of_a_batch_with_tiles_are_each_named_once() -> None:
    work: Any = Farm().give(3, 4, tiles=2, command=["{frames} {count}"], per="batch")
    [group] = command.groups(work)
    assert command.command(work, group, {}).argv == ["3,4 4"]


def test_a_batch_with_tiles_can_tell_which_tiles_of_which_frames() -> None:
    work: Any = Farm().give(3, 4, tiles=2, command=["{tasks}"], per="batch")
    [group] = command.groups(work)
    assert command.command(work, group, {}).argv == ["3:0,3:1,4:0,4:1"]


@pytest.mark.parametrize("word", ["{task_id:c}", "{frame:99999999d}", "{frame:999.999f}"])
def test_a_form_that_is_no_padding_is_refused(word: str) -> None:
    with pytest.raises(BadCommand, match="is no padding"):
        argv(word, 7)


def test_a_long_word_is_shown_cut_short() -> None:
    with pytest.raises(BadCommand) as refused:
        argv("{nothing}" + "x" * 10_000, 7)
    assert len(str(refused.value)) < 400


def test_a_brace_written_twice_is_a_brace() -> None:
    assert argv("f() {{ echo {frame}; }}", 7) == ["f() { echo 7; }"]


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("{frmae}", "no placeholder {frmae}, there are {frame}, {first}"),
        ("{}", "no placeholder {}"),
        ("{frame.__class__}", "no placeholder {frame.__class__}"),
        ("{frame!r}", "no placeholder {frame}"),
        ("{ print }", "no placeholder { print }"),
        ("awk {", "a literal brace is written twice"),
        ("}", "a literal brace is written twice"),
    ],
)
def test_a_wrong_placeholder_is_an_error_that_says_what_there_is(word: str, says: str) -> None:
    with pytest.raises(BadCommand) as wrong:
        argv(word, 1)
    assert says in str(wrong.value)
    assert "data.command[1]" in str(wrong.value)


def test_a_padding_that_does_not_fit_the_frame_is_an_error() -> None:
    with pytest.raises(BadCommand, match=r"data.command\[1\]"):
        argv("{frame:04d}", 1.5)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "no data.command"),
        ({"command": "render"}, "must be a list"),
        ({"command": []}, "must be a list"),
        ({"command": ["render", 7]}, r"data.command\[1\] is 7"),
        ({"command": ["render"], "cwd": 7}, "data.cwd is 7"),
        ({"command": ["render"], "timeout": 0}, "data.timeout is 0"),
        ({"command": ["render"], "timeout": True}, "data.timeout is True"),
        ({"command": ["render"], "timeout": "9"}, "data.timeout is '9'"),
        ({"command": ["render"], "per": "frame"}, "data.per is 'frame'"),
    ],
)
def test_a_job_that_does_not_say_what_to_run_is_told_what_is_missing(data: Any, says: str) -> None:
    work = assignment(1, **data)
    with pytest.raises(BadCommand, match=says):
        command.command(work, command.groups(work)[0], {})


@pytest.mark.parametrize("data", [None, [], "render", 7])
def test_data_that_is_no_object_has_no_command(data: Any) -> None:
    work = assignment(1)
    work["job"]["data"] = data
    with pytest.raises(BadCommand, match="has no data"):
        command.groups(work)


def test_a_command_knows_what_it_works_on() -> None:
    work: Any = Farm().give(1.5, environ={"SHOT": "010"}, command=["run"])
    environ = command.command(work, work["tasks"], {"FARMQUEUE_AGENT_ID": "a1"}).environ
    assert environ["SHOT"] == "010"
    farm = {name: value for name, value in environ.items() if name.startswith("FARMQUEUE_")}
    assert farm == {
        "FARMQUEUE_AGENT_ID": "a1",
        "FARMQUEUE_ASSIGNMENT_ID": "101",
        "FARMQUEUE_ATTEMPT": "1",
        "FARMQUEUE_CPUS": "1",
        "FARMQUEUE_FRAME": "1.5",
        "FARMQUEUE_FRAMES": "1.5",
        "FARMQUEUE_JOB_ID": "1",
        "FARMQUEUE_JOB_TITLE": "shot",
        "FARMQUEUE_QUEUE": "/films",
        "FARMQUEUE_RAM": "32",
        "FARMQUEUE_TASKS": "1.5:0",
        "FARMQUEUE_TASK_ID": "1000",
        "FARMQUEUE_TILE": "0",
    }


def test_the_agents_token_stays_with_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARMQUEUE_TOKEN", "secret")
    work = assignment(1, command=["run"])
    assert "secret" not in command.command(work, work["tasks"], {}).environ.values()


def test_the_environment_of_the_host_reaches_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LICENSE_SERVER", "here")
    work: Any = Farm().give(1, environ={"LICENSE_SERVER": "there"}, command=["run"])
    silent = assignment(1, command=["run"])
    assert command.command(silent, work["tasks"], {}).environ["LICENSE_SERVER"] == "here"
    assert command.command(work, work["tasks"], {}).environ["LICENSE_SERVER"] == "there"


def test_a_job_cannot_pretend_to_be_another() -> None:
    work: Any = Farm().give(1, environ={"FARMQUEUE_JOB_ID": "666"}, command=["run"])
    assert command.command(work, work["tasks"], {}).environ["FARMQUEUE_JOB_ID"] == "1"


def test_directory_and_time_limit_are_taken_from_the_job() -> None:
    work = assignment(1, command=["run"], cwd="shots/010", timeout=90)
    made = command.command(work, work["tasks"], {})
    assert (made.cwd, made.timeout) == ("shots/010", 90.0)
