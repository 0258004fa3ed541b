"""`python -m examples.animation.assemble --in DIR --out FILE.png`: one animated PNG of frames."""

import argparse
import sys
from pathlib import Path

from examples.animation import png
from examples.animation.render import write


class NotReady(Exception):
    """The frames do not make an animation yet; the message says what is wrong with which."""


def main() -> str | None:
    """Write the animation; the answer is what to say when that cannot be done."""
    wanted = _arguments()
    try:
        pictures = frames(wanted.frames, wanted.count)
        write(wanted.out, png.animation(pictures, wanted.fps))
    except (NotReady, OSError) as error:
        return f"assemble: {error}"
    print(f"{wanted.out}: {len(pictures)} frames, {wanted.out.stat().st_size / 1e6:.1f} MB")
    return None


def frames(directory: Path, count: int | None) -> list[bytes]:
    """The pictures `frame_0001.png` .. in order, whole and of one size, `count` of them or all."""
    found = {int(path.stem[6:]): path for path in directory.glob("frame_[0-9]*.png")}
    wanted = range(1, (count or max(found, default=0)) + 1)
    if not wanted:
        raise NotReady(f"no frame_0001.png and so on in {directory}")
    if missing := [number for number in wanted if number not in found]:
        raise NotReady(f"missing in {directory}: frames {', '.join(map(str, missing))}")
    pictures = {number: found[number].read_bytes() for number in wanted}
    sizes = {number: _size(number, picture) for number, picture in pictures.items()}
    for number, size in sizes.items():
        if size != sizes[1]:
            raise NotReady(f"frame {number} is {_text(size)}, frame 1 is {_text(sizes[1])}")
    return list(pictures.values())


def _size(number: int, picture: bytes) -> tuple[int, int]:
    try:
        return png.size(picture)
    except png.BadPicture as error:
        raise NotReady(f"frame {number} is {error}") from error


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.animation.assemble")
    parser.add_argument(
        "--in", dest="frames", type=Path, required=True, help="where the frames are"
    )
    parser.add_argument("--count", type=int, help="how many there must be; all that are there")
    parser.add_argument("--fps", type=int, default=16, help="frames a second")
    parser.add_argument("--out", type=Path, required=True, help="the animated PNG to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
