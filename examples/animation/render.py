"""`python -m examples.animation.render --first 1 --last 8 --out DIR`: frames of the flight."""

import argparse
import os
from pathlib import Path

from examples.animation import png
from examples.animation.flight import frame

_SIDES = range(16, 4097)


def main() -> None:
    """Write `DIR/frame_0001.png` and so on, and say on stdout how far it is: `PROGRESS 0.25`."""
    wanted = _arguments()
    wanted.out.mkdir(parents=True, exist_ok=True)
    width, height = wanted.size
    frames = range(wanted.first, wanted.last + 1)
    for done, number in enumerate(frames, start=1):
        pixels = frame((number - 1) / wanted.of % 1, width, height)
        write(wanted.out / f"frame_{number:04}.png", png.picture(width, height, pixels))
        print(f"PROGRESS {done / len(frames):.3f}", flush=True)


def write(target: Path, content: bytes) -> None:
    """Put the whole content at the target, or leave what was there: never a part of it."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def size(text: str) -> tuple[int, int]:
    """`480x270` as a pair."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"a size looks like 480x270, not {text!r}")
    if not (int(width) in _SIDES and int(height) in _SIDES):
        raise argparse.ArgumentTypeError("a side has 16 to 4096 pixels")
    return int(width), int(height)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.animation.render")
    parser.add_argument(
        "--first", type=int, required=True, help="the first frame; they count from 1"
    )
    parser.add_argument("--last", type=int, required=True, help="the last frame")
    parser.add_argument("--of", type=int, default=64, help="frames in the whole loop")
    parser.add_argument("--size", type=size, default="480x270", help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--out", type=Path, required=True, help="the directory for the frames")
    wanted = parser.parse_args()
    if not 1 <= wanted.first <= wanted.last:
        parser.error("--first must be 1 or more, and --last not below it")
    if wanted.of < 1:
        parser.error("--of must be 1 or more")
    return wanted


if __name__ == "__main__":
    main()
