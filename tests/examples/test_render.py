"""The renderer as a farm runs it: whole frames, the same everywhere, and how far it is."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.animation import render
from tests.examples.png_reader import read

PROJECT = Path(__file__).parent.parent.parent


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "examples.animation.render", *map(str, arguments)]


def rendered(out: Path, first: int, last: int, *more: object) -> "subprocess.CompletedProcess[str]":
    wanted = ("--first", first, "--last", last, "--out", out, "--size", "48x27", *more)
    return subprocess.run(
        command(*wanted), cwd=PROJECT, capture_output=True, text=True, check=False
    )


def test_every_frame_of_the_batch_becomes_a_picture_of_the_size_asked_for(tmp_path: Path) -> None:
    assert rendered(tmp_path / "new" / "frames", 7, 9).returncode == 0
    frames = sorted((tmp_path / "new" / "frames").iterdir())
    assert [frame.name for frame in frames] == [f"frame_000{number}.png" for number in (7, 8, 9)]
    pictures = [read(frame.read_bytes()) for frame in frames]
    assert {(picture.width, picture.height) for picture in pictures} == {(48, 27)}
    assert len({picture.pixels for picture in pictures}) == 3


def test_progress_goes_up_to_one_over_the_batch(tmp_path: Path) -> None:
    said = rendered(tmp_path, 1, 4).stdout.splitlines()
    assert said == ["PROGRESS 0.250", "PROGRESS 0.500", "PROGRESS 0.750", "PROGRESS 1.000"]


def test_a_frame_is_the_same_whoever_renders_it_and_with_which_others(tmp_path: Path) -> None:
    rendered(tmp_path / "a", 2, 3)
    rendered(tmp_path / "b", 3, 3)
    first, second = (tmp_path / part / "frame_0003.png" for part in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_the_loop_closes(tmp_path: Path) -> None:
    rendered(tmp_path, 1, 1, "--of", 12)
    rendered(tmp_path, 13, 13, "--of", 12)
    first, after_last = (tmp_path / f"frame_00{number}.png" for number in ("01", "13"))
    assert first.read_bytes() == after_last.read_bytes()


def test_a_render_that_is_killed_leaves_whole_frames_only(tmp_path: Path) -> None:
    endless = command("--first", 1, "--last", 500, "--size", "48x27", "--out", tmp_path)
    with subprocess.Popen(endless, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    frames = list(tmp_path.glob("frame_*.png"))
    assert 3 <= len(frames) < 500  # it was said while the work went on
    for frame in frames:
        read(frame.read_bytes())


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "frame_0001.png"
    render.write(target, b"the first version")
    half = Path.write_bytes

    def disk_full(path: Path, content: bytes) -> int:
        half(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="No space"):
        render.write(target, b"the second version")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert target.read_bytes() == b"the first version"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--first", 0, "--last", 3), "--first must be 1 or more"),
        (("--first", 4, "--last", 3), "--last not below it"),
        (("--first", 1, "--last", 3, "--of", 0), "--of must be 1 or more"),
        (("--first", 1, "--last", 1, "--size", "wide"), "looks like 480x270"),
        (("--first", 1, "--last", 1, "--size", "8x8"), "16 to 4096"),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(
    arguments: tuple[object, ...], complaint: str, tmp_path: Path
) -> None:
    asked = command(*arguments, "--out", tmp_path)
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert not list(tmp_path.iterdir())
