"""What the renderer writes is PNG and APNG, as another reader understands them."""

import struct
from random import Random

import pytest

from examples.animation import png
from tests.examples.png_reader import chunks, read, read_animation


def noise(width: int, height: int, seed: int = 1) -> bytes:
    return Random(seed).randbytes(3 * width * height)


@pytest.mark.parametrize("size", [(16, 16), (37, 23), (1, 5), (5, 1)])
def test_a_picture_is_read_back_as_it_was(size: tuple[int, int]) -> None:
    pixels = noise(*size)
    seen = read(png.picture(*size, pixels))
    assert (seen.width, seen.height, seen.pixels) == (*size, pixels)


def test_every_chunk_carries_its_checksum() -> None:
    pictures = [png.picture(9, 7, noise(9, 7, seed)) for seed in range(3)]
    found = chunks(pictures[0]) + chunks(png.animation(pictures, 10))
    assert all(chunk.intact for chunk in found)


def test_an_animation_shows_each_picture_in_turn() -> None:
    drawn = [noise(12, 9, seed) for seed in range(5)]
    film = png.animation([png.picture(12, 9, pixels) for pixels in drawn], 10)
    assert [frame.pixels for frame in read_animation(film)] == drawn
    assert read(film).pixels == drawn[0]  # where animations are not known, the first is shown


def test_an_animation_says_how_many_frames_it_has_how_long_each_is_and_never_ends() -> None:
    film = chunks(png.animation([png.picture(4, 3, noise(4, 3, seed)) for seed in range(6)], 25))
    (control,) = [chunk.data for chunk in film if chunk.kind == b"acTL"]
    assert struct.unpack(">II", control) == (6, 0)
    frames = [struct.unpack(">IIIIIHHBB", c.data) for c in film if c.kind == b"fcTL"]
    assert [frame[1:] for frame in frames] == [(4, 3, 0, 0, 1, 25, 0, 0)] * 6


def test_the_chunks_of_an_animation_are_numbered_without_a_gap() -> None:
    film = chunks(png.animation([png.picture(4, 3, noise(4, 3, seed)) for seed in range(4)], 25))
    numbered = [chunk for chunk in film if chunk.kind in {b"fcTL", b"fdAT"}]
    numbers = [int.from_bytes(chunk.data[:4], "big") for chunk in numbered]
    assert numbers == list(range(7))
    assert [chunk.kind for chunk in film].index(b"acTL") < [c.kind for c in film].index(b"IDAT")


def test_pictures_of_two_sizes_make_no_animation() -> None:
    pictures = [png.picture(4, 3, noise(4, 3)), png.picture(3, 4, noise(3, 4))]
    with pytest.raises(png.BadPicture, match="one size"):
        png.animation(pictures, 10)


def test_the_size_of_a_whole_picture_is_known() -> None:
    assert png.size(png.picture(37, 23, noise(37, 23))) == (37, 23)


@pytest.mark.parametrize("part", [0, 5, 8, 20, 40, 0.5, 0.9, -1, -12])
def test_a_picture_that_is_cut_short_is_refused(part: float) -> None:
    whole = png.picture(37, 23, noise(37, 23))
    kept = int(part * len(whole)) if isinstance(part, float) else part
    with pytest.raises(png.BadPicture):
        png.size(whole[:kept])


def test_a_picture_with_a_wrong_byte_is_refused() -> None:
    damaged = bytearray(png.picture(37, 23, noise(37, 23)))
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(png.BadPicture, match="damaged"):
        png.size(bytes(damaged))
