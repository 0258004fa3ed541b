"""All frames become one animation, and nothing is made of frames that are not all there."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from examples.animation import png
from tests.examples.png_reader import read_animation

PROJECT = Path(__file__).parent.parent.parent


def frames(directory: Path, count: int, width: int = 8, height: int = 6) -> list[bytes]:
    """Write pictures of noise as frames 1 to `count`; their pixels."""
    drawn = [Random(number).randbytes(3 * width * height) for number in range(count)]
    for number, pixels in enumerate(drawn, start=1):
        target = directory / f"frame_{number:04}.png"
        target.write_bytes(png.picture(width, height, pixels))
    return drawn


def assemble(directory: Path, *more: object) -> "subprocess.CompletedProcess[str]":
    out = directory / "film.png"
    module = [sys.executable, "-m", "examples.animation.assemble"]
    asked = [*module, "--in", str(directory), "--out", str(out), *map(str, more)]
    return subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)


def refused(directory: Path, complaint: str, *more: object) -> None:
    done = assemble(directory, *more)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (directory / "film.png").exists()


def test_the_frames_are_shown_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    drawn = frames(tmp_path, 12)
    done = assemble(tmp_path, "--count", 12)
    assert done.returncode == 0
    assert "12 frames" in done.stdout
    film = read_animation((tmp_path / "film.png").read_bytes())
    assert [picture.pixels for picture in film] == drawn


def test_a_missing_frame_is_named(tmp_path: Path) -> None:
    frames(tmp_path, 9)
    for number in (4, 7):
        (tmp_path / f"frame_000{number}.png").unlink()
    refused(tmp_path, "frames 4, 7")


def test_frames_that_are_not_there_yet_are_named(tmp_path: Path) -> None:
    frames(tmp_path, 3)
    refused(tmp_path, "frames 4, 5", "--count", 5)


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    frames(tmp_path, 3)
    (tmp_path / "frame_0002.png").write_bytes(png.picture(6, 8, bytes(144)))
    refused(tmp_path, "frame 2 is 6x8, frame 1 is 8x6")


def test_a_frame_that_is_cut_short_is_named(tmp_path: Path) -> None:
    frames(tmp_path, 3)
    frame = tmp_path / "frame_0003.png"
    frame.write_bytes(frame.read_bytes()[:-20])
    refused(tmp_path, "frame 3 is not a complete PNG")


@pytest.mark.parametrize("more", [(), ("--count", 2)])
def test_no_frames_make_no_animation(tmp_path: Path, more: tuple[object, ...]) -> None:
    refused(tmp_path, "frame", *more)
